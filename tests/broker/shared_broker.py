"""The Kafka that the tests of a run share."""

from dataclasses import dataclass

from streams.dev.kafka_node import DevKafka


@dataclass(frozen=True)
class Broker:
    """``address`` is its `bootstrap.servers`; ``node`` its process, None if the test run did not start it."""

    address: str
    node: DevKafka | None
