"""The door: takes records of other systems over HTTP and writes them to the input topics.

It stands on `streams.kafka`, `streams.topics` and the hosting of `streams.consumers.service`.
"""
