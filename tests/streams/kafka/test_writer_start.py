"""A producer that cannot start."""

import pytest

from streams.kafka.api import TransientError
from streams.kafka.clients import Clients
from streams.kafka.produce.transactional_writer import KafkaWriter
from streams.settings.load import load


class BrokenProducer:
    """Behaves like aiokafka's producer at a broker that has just resumed and returns an empty list of brokers."""

    def __init__(self, **settings: object) -> None:
        pass

    async def start(self) -> None:
        raise AssertionError("Did we not perform bootstrap?")

    async def stop(self) -> None:
        pass


async def test_a_broker_that_names_no_brokers_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.kafka.produce.transactional_writer.AIOKafkaProducer", BrokenProducer)
    writer = KafkaWriter(Clients(load({"bootstrap_servers": "127.0.0.1:1"})), "w")
    with pytest.raises(TransientError, match="starting writer w"):
        await writer.start()
    await writer.stop()
