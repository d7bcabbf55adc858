"""Callwarden's own topics, a module each: state, clock, control, policies, output records.

It imports `streams.kafka.api`, topic names and `monitor.partition`.
"""
