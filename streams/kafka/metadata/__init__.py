"""Cluster metadata: topics with their ids, queried over shared connections.

It imports the clients and the interface `streams.kafka.api`.
"""
