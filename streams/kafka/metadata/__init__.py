"""Cluster metadata: topics with their ids, asked over shared connections.

It imports the clients and the seam `streams.kafka.api`.
"""
