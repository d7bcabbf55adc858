"""Prometheus and Alertmanager as tests run them, and what dashboards ask."""
