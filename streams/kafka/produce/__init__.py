"""Producers: transactional for decisions, by key for traffic, and for the timestamps of the broker.

It imports the clients and the interface `streams.kafka.api`.
"""
