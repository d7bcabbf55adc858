"""Writing a large transaction yields to the event loop, where heartbeats run."""

import asyncio
from types import SimpleNamespace
from typing import Any

from streams.kafka.api import OutputRecord
from streams.kafka.clients import Clients
from streams.kafka.produce.transactional_writer import KafkaWriter
from streams.settings.load import load

RECORDS = 20_000


class Sending:
    """Replaces aiokafka's producer: accepts every batch at once, and never waits."""

    def create_batch(self) -> Any:
        count = 0

        def append(**_: object) -> object:
            nonlocal count
            count += 1
            return object()

        return SimpleNamespace(append=append, close=lambda: None, record_count=lambda: count)

    async def send_batch(self, _: object, __: str, *, partition: int) -> asyncio.Future[Any]:
        sent: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        sent.set_result(SimpleNamespace(offset=partition))
        return sent


def test_the_loop_has_its_turns_while_a_large_transaction_is_written() -> None:
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
        last = await writer._send(sending, [OutputRecord("t", 0, b"k", b"v") for _ in range(RECORDS)])
        beside.cancel()
        return last, turns

    last, turns = asyncio.run(go())
    assert last == RECORDS - 1
    assert turns >= RECORDS // 1_000
