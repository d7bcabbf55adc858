"""The evidence of decisions: where their records lie, and the records themselves, fetched and kept with numbers masked.

It imports `streams.console.tables`, `streams.consumers`, `streams.kafka` and `monitor.text`.
"""
