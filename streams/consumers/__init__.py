"""Consumers: programs that follow the output topics, each with a database that also holds its offsets.

They import `streams.topics`, `streams.kafka`, `streams.metrics` and `monitor`, never each other.
"""
