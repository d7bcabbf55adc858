"""The HTTP API: takes records of our own formats, and bodies that a mapping describes.

A process of its own. It answers once Kafka has acknowledged.
"""
