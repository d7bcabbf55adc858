"""If the broker refuses one topic of a transaction, the other topics fail with it, and must not hide the reason."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import InvalidTxnState, TopicAuthorizationFailedError

from streams.kafka.api import Fenced, PermanentError
from streams.kafka.clients import Clients
from streams.kafka.outputs import OutputRecord
from streams.kafka.produce.transactional_writer import KafkaWriter
from streams.settings.load import load


class Refusing:
    """Replaces aiokafka's producer: fails the batches of each topic with an error."""

    def __init__(self, errors: dict[str, Exception]) -> None:
        self._errors = errors

    def create_batch(self) -> Any:
        return SimpleNamespace(append=lambda **_: object(), close=lambda: None)

    async def begin_transaction(self) -> None:
        pass

    async def send_batch(self, _: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_exception(self._errors[topic])
        return sent


async def commit(errors: dict[str, Exception]) -> None:
    writer = KafkaWriter(Clients(load({"bootstrap_servers": "nowhere:1"})), "t")
    producer: Any = Refusing(errors)
    writer._producer = producer
    await writer.commit([OutputRecord(topic, 0, b"k", b"v") for topic in errors], {})


async def test_the_refused_topic_is_named_whichever_partition_fails_first() -> None:
    state, evidence = TopicAuthorizationFailedError("out.state"), InvalidTxnState()
    for errors in ({"out.evidence": evidence, "out.state": state}, {"out.state": state, "out.evidence": evidence}):
        with pytest.raises(PermanentError, match=r"writing as t: not allowed: .*\(out\.state\)"):
            await commit(errors)


async def test_without_another_error_the_writer_is_fenced() -> None:
    with pytest.raises(Fenced):
        await commit({"out.evidence": InvalidTxnState(), "out.state": InvalidTxnState()})
