"""The bridge: maps the records of a foreign Kafka topic and writes them to the input topics, each exactly once.

It stands on `streams.ingest.partitions` and the mapping of `streams.ingest`.
"""
