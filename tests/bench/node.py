"""The Kafka node of the benches."""

from pathlib import Path

from streams.dev.kafka_node import DevKafka

# As in a cluster: members that start at once form one generation, and nothing is read twice.
PROPERTIES = {"group.initial.rebalance.delay.ms": "6000"}


def node(folder: Path, jars: Path) -> DevKafka:
    """The broker of the bench."""
    return DevKafka(folder, jars, properties=PROPERTIES)
