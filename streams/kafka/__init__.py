"""The implementation of `streams.kafka.api` for a real Kafka cluster, on aiokafka.

No other package imports aiokafka. `api` and `topic_names` import nothing heavy, so commands may import
them at module level. It imports `streams.settings`, `streams.runtime` and `monitor`.
"""
