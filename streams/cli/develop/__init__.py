"""Commands for development: a Kafka node, simulated traffic, tail, live.

It may import everything but the other groups.
"""
