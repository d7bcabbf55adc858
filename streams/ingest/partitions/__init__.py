"""Reads the partitions of a topic exactly once: each by one member of a group, its outputs and offset in transactions.

It imports `streams.kafka` and `streams.metrics`, and `streams.topics` for the limit of a record; it knows neither
mappings nor calls. `bridge` and `assemble` stand on it.
"""
