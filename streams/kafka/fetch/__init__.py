"""Fetch responses as columns: record batches parsed, decompressed within limits, damage located.

It imports the interface `streams.kafka.api`. It uses private names of aiokafka.
"""
