"""What Prometheus is told: the catalogue of metrics, and what is made of it."""
