"""Files that grow and rotate: which are followed, and what of them is new. It knows nothing of Kafka."""
