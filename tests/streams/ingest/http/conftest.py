"""Puts this folder on the path: tests can then `import ingest_service`."""
