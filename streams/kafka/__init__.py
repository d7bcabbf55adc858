"""A real Kafka cluster behind the seam of `streams.kafka.api`, on aiokafka's public API."""

from streams.kafka.cluster import KafkaCluster

__all__ = ["KafkaCluster"]
