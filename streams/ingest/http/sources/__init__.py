"""The sources of foreign records: the sources file, the mapping of a body, and the protocols that senders expect.
It may import `monitor.adapters` and `streams.ingest.http.signatures`; it knows nothing of Kafka.
"""
