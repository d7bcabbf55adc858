"""No failure of a poll skips a record: aiokafka's own consumer and fetcher, without a broker."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, KafkaError
from rawkafka.batches import GZIP, ZSTD, batch, record
from wire_log import Log

from helpers.patience import PATIENCE_S
from streams.kafka.aiokafka_private import fetching_has_ended, position
from streams.kafka.api import TP, CorruptLog, LogEnds
from streams.kafka.clients import Clients
from streams.kafka.consumer import KafkaConsumer
from streams.kafka.fetch import columnar_fetch as fastfetch
from streams.kafka.fetch import record_parser as recordparser
from streams.kafka.fetch.damage import TRIES
from streams.kafka.metadata.queries import MetadataQueries
from streams.settings.load import load

A, B = TP("t", 0), TP("t", 1)


class Fetching:
    """A consumer at offset 0 of two partitions, and its fetched data: `fetched` acts as the broker."""

    def __init__(self) -> None:
        clients = Clients(load({"bootstrap_servers": "nowhere:1"}))
        self.client = AIOKafkaConsumer(bootstrap_servers="nowhere:1")
        self.client.assign([TopicPartition(*tp) for tp in (A, B)])
        self.client._coordinator = SimpleNamespace(check_errors=lambda: None)
        self.fetcher = self.client._fetcher = fetcher.Fetcher.__new__(fetcher.Fetcher)  # without its task
        self.fetcher._subscriptions = self.client._subscription
        self.fetcher._loop = asyncio.get_running_loop()
        self.fetcher._records = {}
        self.fetcher._fetch_waiters = set()
        self.fetcher._wait_consume_future = None
        self.fetcher._closed = False
        self.consumer = KafkaConsumer(clients, MetadataQueries(clients), ["t"])
        self.consumer._client = self.client
        for tp in (A, B):
            self.consumer.seek(tp, 0)

    def fetched(self, tp: TP, log: Log) -> None:
        """Deliver the response to a fetch from the client's position."""
        mine, at = TopicPartition(*tp), position(self.client, TopicPartition(*tp))
        self.fetcher._records[mine] = fetcher.FetchResult(
            mine,
            assignment=self.client._subscription.subscription.assignment,
            partition_records=fetcher.PartitionRecords(
                mine,
                fetcher.MemoryRecords(log.data),
                list(log.aborted),
                at,
                None,
                fastfetch.AsColumns(),
                True,
                fetcher.READ_COMMITTED,
            ),
            backoff=0,
        )

    async def poll(self, *tps: TP) -> dict[TP, tuple[int, int, int]]:
        fetched = await self.consumer.poll(tps, 0.01, 100)
        return {tp: (batch.start, batch.stop, len(batch)) for tp, batch in fetched.items()}


@contextmanager
def fetching() -> Iterator[Fetching]:
    fastfetch.install_columnar_fetch()
    stage = Fetching()
    try:
        yield stage
    finally:
        stage.client._closed = True


def log_of(count: int, *, torn: bool = False) -> Log:
    log = Log()
    log.batch(count, torn=torn)
    return log


async def test_a_torn_batch_is_reported_with_its_partition_and_the_others_records_come_again() -> None:
    with fetching() as stage:
        said = r"^t-1: what is stored at offset 0 to 2 cannot be read: the checksum of a record batch is wrong$"
        for _ in range(TRIES - 1):  # it may have been the network
            stage.fetched(A, log_of(3))
            stage.fetched(B, log_of(3, torn=True))
            assert await stage.poll(A, B) == {}
            assert await stage.poll(B) == {}  # damaged data is dropped and fetched again
            assert TopicPartition(*B) not in stage.fetcher._records
        stage.fetched(A, log_of(3))
        stage.fetched(B, log_of(3, torn=True))
        with pytest.raises(CorruptLog, match=said) as torn:
            await stage.poll(A, B)
        assert (torn.value.tp, torn.value.offset, torn.value.last) == (B, 0, 2)
        # Fetched again, from the same position.
        stage.fetched(A, log_of(3))
        assert await stage.poll(A, B) == {A: (0, 3, 3)}


@pytest.mark.parametrize("error", [CorruptRecordException("whose?"), KafkaError("unforeseen"), ValueError("a fault")])
async def test_after_any_error_the_records_that_were_in_hand_come_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fetching() as stage:
        stage.fetched(A, log_of(2))
        assert await stage.poll(A, B) == {A: (0, 2, 2)}
        taking = fetcher.FetchResult.getall

        def failing(result: fetcher.FetchResult, most: int) -> object:
            if result._topic_partition == TopicPartition(*B):
                raise error
            return taking(result, most)

        more = log_of(5)  # a batch is sent whole
        stage.fetched(A, more)
        stage.fetched(B, log_of(1))
        with monkeypatch.context() as broken:
            broken.setattr(fetcher.FetchResult, "getall", failing)
            with pytest.raises(Exception, match=r"whose\?|unforeseen|a fault"):
                await stage.poll(A, B)
        stage.fetched(A, more)
        assert await stage.poll(A, B) == {A: (2, 5, 3), B: (0, 1, 1)}


async def test_a_poll_that_is_cancelled_passes_over_nothing() -> None:
    with fetching() as stage:
        hidden = Log()
        hidden.batch(4, producer=7)
        hidden.marker(7, commit=False)
        stage.fetched(A, hidden)
        polling = asyncio.create_task(stage.consumer.poll([A, B], 60.0, 100))
        await asyncio.sleep(0)
        assert position(stage.client, TopicPartition(*A)) == 5  # no records could be returned, and it waits
        stage.fetched(B, log_of(3))
        for waiter in list(stage.fetcher._fetch_waiters):
            waiter.set_result(None)
        polling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await polling
        assert await stage.poll(A, B) == {A: (0, 5, 0), B: (0, 3, 3)}


async def test_what_is_private_in_aiokafka_is_where_we_look_for_it() -> None:
    with fetching() as stage:
        mine = TopicPartition(*A)
        assert position(stage.client, TopicPartition("t", 2)) is None
        assert position(stage.client, mine) == 0
        stage.client._subscription.subscription.assignment.state_value(mine).await_reset(0)
        assert position(stage.client, mine) is None
        stage.client._subscription.unsubscribe()
        assert position(stage.client, mine) is None

        stage.fetcher._fetch_task = asyncio.get_running_loop().create_future()
        assert not fetching_has_ended(stage.client)
        stage.fetcher._fetch_task.set_result(None)
        assert fetching_has_ended(stage.client)
        stage.client._fetcher = None
        assert not fetching_has_ended(stage.client)


LONG = {
    "what gzip inflates a thousandfold": batch([record(b"k", b"1" * (12 << 20))], codec=GZIP),
    "many records": batch([record(b"k", b"v" * 40, delta=at) for at in range(6_000)], codec=ZSTD),
}


@pytest.mark.parametrize("what", LONG)
async def test_a_batch_that_takes_long_is_read_by_a_thread_while_the_loop_runs(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """40 KB of gzip blocked the event loop for 140 ms before they were rejected; two such batches are
    not read at once.
    """
    read, threads = recordparser.records_of, list[int]()
    may_end = threading.Event()

    def noted(*args: Any, **more: Any) -> Any:
        threads.append(threading.get_ident())
        assert may_end.wait(PATIENCE_S)
        return read(*args, **more)

    monkeypatch.setattr(fastfetch, "records_of", noted)
    long = Log(LONG[what])
    with fetching() as stage:
        stage.fetched(A, long)
        stage.fetched(B, long)
        first = await stage.poll(A, B)  # the loop ran meanwhile, otherwise this poll would not have ended
        assert (first, len(threads)) == ({}, 1), "the other waits for its turn"
        assert threading.get_ident() not in threads
        may_end.set()
        offset, end = {A: 0, B: 0}, 6_000 if what == "many records" else 1
        while min(offset.values()) < end:
            for tp, (start, stop, count) in (await stage.poll(A, B)).items():
                assert (start, stop - start) == (offset[tp], count), "nothing is passed over"
                offset[tp] = stop
        assert len(threads) == 2
        assert threading.get_ident() not in threads


async def test_a_common_batch_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handing it to a thread would cost more than reading it."""
    read, threads = recordparser.records_of, list[int]()

    def noted(*args: Any, **more: Any) -> Any:
        threads.append(threading.get_ident())
        return read(*args, **more)

    monkeypatch.setattr(fastfetch, "records_of", noted)
    for codec in (0, GZIP, ZSTD):
        with fetching() as stage:
            rows = [record(b"k", b"value %030d" % at, delta=at) for at in range(1_100)]
            stage.fetched(A, Log(batch(rows, codec=codec)))
            assert await stage.poll(A, B) == {A: (0, 100, 100)}
    assert set(threads) == {threading.get_ident()}


async def test_brokers_collect_records_while_they_keep_coming_and_answer_the_first_after_a_silence_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s, waits = 0.0, list[tuple[int, int]]()
    monkeypatch.setattr("streams.kafka.consumer.time", SimpleNamespace(monotonic=lambda: now_s))
    with fetching() as stage:
        stage.consumer._collect_s = 0.25
        for came in (False, True, False, False):
            if came:
                stage.fetched(A, log_of(1))
            await stage.poll(A, B)
            waits.append((stage.fetcher._fetch_max_wait_ms, stage.fetcher._fetch_min_bytes))
            now_s += 0.3
    at_once, collected = (500, 1), (250, 8 << 20)
    assert waits == [at_once, collected, collected, at_once], "an answer that was collected comes after its wait"


async def test_brokers_do_not_wait_for_more_than_a_partition_returns_while_there_is_a_backlog() -> None:
    with fetching() as stage:
        stage.consumer._collect_s = 0.25
        log, least = Log(), []
        for end in (1, 100, 3):
            stage.consumer._heard(TopicPartition(*A), LogEnds(end, end, 0.0))
            log.batch(1)
            stage.fetched(A, log)
            assert A in await stage.poll(A, B)
            least.append(stage.fetcher._fetch_min_bytes)
    assert least == [8 << 20, 1 << 19, 8 << 20]


async def test_a_consumer_that_does_not_collect_leaves_the_waits_alone() -> None:
    with fetching() as stage:
        stage.fetched(A, log_of(1))
        assert await stage.poll(A, B) == {A: (0, 1, 1)}
        assert not hasattr(stage.fetcher, "_fetch_max_wait_ms")
