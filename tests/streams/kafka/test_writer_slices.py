"""Writing a large transaction yields to the event loop, where heartbeats run."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from helpers.single_records import each_record
from monitor.byte_rows import ByteRows
from streams.kafka.api import TP
from streams.kafka.clients import Clients
from streams.kafka.outputs import OutputColumns, OutputRecord
from streams.kafka.produce import native_batches
from streams.kafka.produce.batch_sender import send_records
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


@pytest.mark.parametrize("encoded", [False, True])
def test_columns_and_other_records_of_a_partition_are_sent_in_order(
    monkeypatch: pytest.MonkeyPatch, encoded: bool
) -> None:
    """Several hours of measures are sent as one, in the same batches as their records one by one."""
    if encoded and not native_batches.built():
        pytest.skip("the extension is not built: no C compiler (`.ci/run` requires it)")
    monkeypatch.setattr(native_batches, "enabled", encoded)

    def columns(topic: str, first: int, after: int) -> OutputColumns:
        numbers = range(first, after)
        return OutputColumns(topic, 0, *(ByteRows.of(name % n for n in numbers) for name in (b"key%d", b"value%d")))

    records = [columns("t", 0, 5), columns("t", 5, 9), *columns("u", 0, 2), columns("u", 2, 4), *columns("t", 9, 11)]
    sent: dict[str, list[tuple[bytes, bytes]]] = {}

    class Recording:
        """A producer that keeps what it is given."""

        def create_batch(self) -> BatchBuilder:
            return BatchBuilder(1 << 20, 0, is_transactional=True)

        async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
            batch._set_producer_state(1, 0, 0)
            data = batch._build()
            for read in iter(MemoryRecords(bytes(data)).next_batch, None):
                sent.setdefault(topic, []).extend((one.key, one.value) for one in read)
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            done.set_result(SimpleNamespace(offset=0))
            return done

    producer: Any = Recording()
    ends = asyncio.run(send_records(producer, records, transactional=True))
    assert ends == {TP("t", 0): 10, TP("u", 0): 3}
    assert sent["t"] == [(b"key%d" % n, b"value%d" % n) for n in range(11)]
    assert sent["u"] == [(b"key%d" % n, b"value%d" % n) for n in range(4)]
    assert [out.topic for out in each_record(records)] == ["t"] * 9 + ["u"] * 4 + ["t"] * 2
    taken = columns("t", 0, 5)
    assert (taken[-1], list(taken[1:3]), len(taken)) == (list(taken)[4], list(taken)[1:3], 5)
