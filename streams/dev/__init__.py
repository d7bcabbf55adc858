"""Development services: a Kafka node or cluster on this machine, simulated traffic, tail.

It imports `streams.kafka` and `streams.runtime`.
"""
