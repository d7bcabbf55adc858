"""Prometheus metrics: the catalogue, and the metrics created from it."""
