"""Writing a large transaction yields to the event loop, where heartbeats run."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from streams.kafka.api import OutputRecord
from streams.kafka.clients import Clients
from streams.kafka.produce import native_batches
from streams.kafka.produce.transactional_writer import KafkaWriter
from streams.settings.load import load

RECORDS = 20_000


class Sending:
    """Replaces aiokafka's producer: accepts every batch at once, and never waits."""

    def __init__(self) -> None:
        self._next = 0

    def create_batch(self) -> Any:
        count = 0

        def append(**_: object) -> object:
            nonlocal count
            count += 1
            return object()

        return SimpleNamespace(append=append, close=lambda: None, record_count=lambda: count)

    async def send_batch(self, batch: Any, _: str, *, partition: int) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(offset=self._next))
        self._next += batch.record_count()
        return sent


@pytest.mark.parametrize(("encoded", "size", "least"), [(False, 1, RECORDS // 1_000), (True, 1_000, RECORDS // 1_000)])
def test_the_loop_has_its_turns_while_a_large_transaction_is_written(
    monkeypatch: pytest.MonkeyPatch, encoded: bool, size: int, least: int
) -> None:
    """One for a thousand records that are appended, and one for each batch of a megabyte that is encoded at once."""
    if encoded and not native_batches.built():
        pytest.skip("the extension is not built: no C compiler (`.ci/run` requires it)")
    monkeypatch.setattr(native_batches, "enabled", encoded)
    writer = KafkaWriter(Clients(load({"bootstrap_servers": "nowhere:1"})), "t")
    sending: Any = Sending()

    async def go() -> tuple[int, int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        last = await writer._send(sending, [OutputRecord("t", 0, b"k", bytes(size))] * RECORDS)
        beside.cancel()
        return last, turns

    last, turns = asyncio.run(go())
    assert last == RECORDS - 1
    assert turns >= least
