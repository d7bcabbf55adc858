"""Idempotency keys: their topic, their index, and the writer that makes a repeated request one request.

It imports `streams.kafka` and `schemas`; it knows nothing of HTTP.
"""
