"""Readers: of partitions from given positions, as a member of a group, and of ranges of offsets.

It imports the clients, `fetch` and the interface `streams.kafka.api`.
"""
