"""Producers: transactional for decisions, keyed for traffic, appending, and one for the broker's timestamps.

It imports the clients and the interface `streams.kafka.api`.
"""
