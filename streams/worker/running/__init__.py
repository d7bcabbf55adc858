"""The parts of a partition owner: its input, the partition in memory, and the transaction.

It imports `streams.worker.context`, `streams.worker.recovery`, `streams.topics`, `streams.kafka` and `monitor`.
"""
