"""Tables that grow: which rows are new, also those that are committed out of order. It knows nothing of Kafka."""
