"""Callwarden's own topics, one module each: state, clock, control, policies, output records.

It imports `streams.kafka.api`, topic names and `monitor.partition`.
"""
