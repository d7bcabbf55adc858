"""A real Kafka cluster behind the interface `streams.kafka.api`, on aiokafka.

No other package imports aiokafka. `api` and `topic_names` import nothing heavy, so commands may import
them at once. It imports `streams.settings`, `streams.runtime` and `monitor`.
"""
