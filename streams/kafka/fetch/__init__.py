"""Fetch responses as columns: record batches parsed, decompressed within limits, damage located.

It imports the seam `streams.kafka.api`; what is private of aiokafka is used in one module here.
"""
