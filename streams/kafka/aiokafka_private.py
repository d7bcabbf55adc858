"""What Callwarden uses of aiokafka 0.14 beyond its public interface: all its private names are in this file.

`replace_getall` checks the names of the patch, and refuses other releases.
`tests/streams/kafka/test_aiokafka_release.py` also fails if a release changes code that this file relies on.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Final, Protocol

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition, conn
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.consumer import fetcher
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.kafka.api import LogEnds, PermanentError
from streams.runtime.monotonic import steady_s

_VERSION: Final = "0.14."
_METHODS: Final = {
    "FetchResult": {"getall", "check_assignment", "has_more", "_update_position"},
    "PartitionRecords": {"_consume_aborted_up_to"},
}
_FIELDS: Final = {
    "FetchResult": {"_topic_partition", "_partition_records"},
    "PartitionRecords": {
        *("_tp", "_records", "_aborted_producers", "_value_deserializer", "_records_iterator"),
        *("_check_crcs", "_isolation_level", "next_fetch_offset"),
    },
}
_original_getall: Final = fetcher.FetchResult.getall

Getall = Callable[[Any, int | None], Any]

# The records of a fetch ---------------------------------------------------------------------------------------------


class RawRecords:
    """Replaces aiokafka's `MemoryRecords`, which hides its bytes; works for other consumers, too."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._theirs = MemoryRecords(data)

    def size_in_bytes(self) -> int:
        return len(self.data)

    def has_next(self) -> bool:
        return bool(self._theirs.has_next())

    def next_batch(self) -> Any:
        return self._theirs.next_batch()


class FetchedPartition:
    """What a fetch returned of a partition and was not taken yet, as aiokafka holds it: its `FetchResult`."""

    __slots__ = ("_records", "_result")

    def __init__(self, result: Any) -> None:
        self._result, self._records = result, result._partition_records
        self._records._records_iterator = None  # breaks a reference cycle that would keep a megabyte

    @property
    def tp(self) -> TopicPartition:
        """The partition."""
        return self._result._topic_partition

    @property
    def data(self) -> bytes:
        """The record batches."""
        data: bytes = self._records._records.data
        return data

    @property
    def checks_crcs(self) -> bool:
        """Whether checksums are to be verified."""
        return bool(self._records._check_crcs)

    @property
    def next_offset(self) -> int:
        """The offset of the next record to take; what was taken moves it."""
        return int(self._records.next_fetch_offset)

    @next_offset.setter
    def next_offset(self, offset: int) -> None:
        self._records.next_fetch_offset = offset

    def wanted(self) -> bool:
        """Whether the consumer still wants these records: it has not been paused, nor sought elsewhere."""
        return bool(self._result.check_assignment(self.tp))

    def moved(self) -> None:
        """Make ``next_offset`` the consumer's position."""
        self._result._update_position()

    def drop(self) -> None:
        """Take nothing more: the consumer fetches from its position again."""
        self._result._partition_records = None

    def aborted(self, base: int, producer_id: int, *, marker: bool, transactional: bool) -> bool:
        """Whether the batch at offset ``base`` belongs to an aborted transaction. To be called for each batch in order.

        A marker's content is not read: the next marker of a producer ends its transaction that is listed as aborted,
        whether the marker is readable or not.
        """
        records = self._records
        if records._isolation_level != fetcher.READ_COMMITTED:
            return False
        records._consume_aborted_up_to(base)
        if marker:
            records._aborted_producers.discard(producer_id)
            return False
        return transactional and producer_id in records._aborted_producers


def deserializer_of(result: Any) -> Any:
    """The ``value_deserializer`` of the consumer of a `FetchResult` that has more to take."""
    return result._partition_records._value_deserializer


def original_getall(result: Any, max_records: int | None) -> Any:
    """Take records as aiokafka does."""
    return _original_getall(result, max_records)


def replace_getall(getall: Getall) -> None:
    """Patch aiokafka to take records by ``getall``. Raises PermanentError if this release is not supported."""
    if fetcher.FetchResult.getall is getall:
        return
    missing = sorted(_missing())
    if missing or not aiokafka.__version__.startswith(_VERSION):
        what = f"has no {', '.join(missing)}" if missing else "is unknown"
        raise PermanentError(
            f"aiokafka {aiokafka.__version__} {what}: records cannot be read safely by it; expected {_VERSION}*, as "
            f"`pip install 'aiokafka=={_VERSION}*'` has it"
        )
    fetcher.FetchResult.getall = getall
    fetcher.MemoryRecords = RawRecords


def _missing() -> Iterator[str]:
    if getattr(fetcher, "MemoryRecords", None) is not MemoryRecords:
        yield "MemoryRecords"
    for owner, methods in _METHODS.items():
        kind = getattr(fetcher, owner, None)
        if kind is None:
            yield owner
            continue
        yield from (f"{owner}.{name}" for name in methods if not hasattr(kind, name))
        yield from (f"{owner}.{name}" for name in _FIELDS[owner] - set(kind.__init__.__code__.co_names))


# Responses ----------------------------------------------------------------------------------------------------------


class Frames(Protocol):
    """Where a connection receives responses: `streams.kafka.fetch.response_frames.ResponseFrames`."""

    def room(self) -> memoryview: ...
    def received(self, count: int) -> None: ...
    def end(self, error: BaseException | None) -> None: ...
    async def next(self) -> bytes | memoryview: ...


class FramesProtocol(conn.AIOKafkaProtocol, asyncio.BufferedProtocol):  # type: ignore[misc]  # aiokafka has no types
    """The protocol of a connection that receives into ``frames`` instead of a `StreamReader`."""

    def __init__(self, frames: Frames, closed: Any, *args: Any, loop: Any) -> None:
        super().__init__(closed, *args, loop=loop)
        self.frames = frames

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.frames.room()

    def buffer_updated(self, nbytes: int) -> None:
        self.frames.received(nbytes)

    def eof_received(self) -> Any:
        self.frames.end(None)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.frames.end(exc)
        super().connection_lost(exc)


async def _read_frames(connection_of: Callable[[], Any]) -> None:
    """Replaces `AIOKafkaConnection._read`. ``connection_of`` is a weak reference: a connection that nobody needs ends.

    What it raises closes the connection.
    """
    connection = connection_of()
    if connection is None:
        return
    frames: Frames = connection._protocol.frames
    while True:
        del connection
        frame = await frames.next()
        connection = connection_of()
        if connection is None:
            return
        connection._handle_frame(frame)


def replace_reader(frames: Callable[[], Frames]) -> None:
    """Have connections that are opened from now on receive responses into what ``frames`` makes for each."""
    conn.AIOKafkaProtocol = lambda *args, loop: FramesProtocol(frames(), *args, loop=loop)
    conn.AIOKafkaConnection._read = staticmethod(_read_frames)


# The records of a producer ------------------------------------------------------------------------------------------


def replace_zstd(compress: Callable[[Any], bytes]) -> None:
    """Have all producers compress batches with zstd by ``compress``, which gets a buffer.

    Raises PermanentError if this release is not supported.
    """
    module = sys.modules[DefaultRecordBatchBuilder.__module__]
    if not hasattr(module, "zstd_encode"):
        raise PermanentError(
            f"aiokafka {aiokafka.__version__} compresses by another name than zstd_encode; expected {_VERSION}*, as "
            f"`pip install 'aiokafka=={_VERSION}*'` has it"
        )
    module.zstd_encode = compress  # type: ignore[attr-defined]


class BuiltBatch:
    """A batch for `AIOKafkaProducer.send_batch` in place of aiokafka's `BatchBuilder`, as far as `MessageBatch` asks.

    It has ``count`` records and ``size`` bytes before compression. ``build`` makes its bytes, given the id of the
    producer, its epoch and the number of the first record in the producer's sequence.
    """

    def __init__(self, count: int, size: int, build: Callable[[int, int, int], bytes]) -> None:
        self._count, self._size, self._make = count, size, build
        self._producer = (-1, -1, 0)
        self._built = b""

    def closed(self) -> bool:
        return True

    def close(self) -> None:
        pass

    def record_count(self) -> int:
        return self._count

    def size(self) -> int:
        return self._size

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytes:
        if not self._built:  # another try sends the same bytes
            self._built = self._make(*self._producer)
        return self._built


def add_to_transaction(producer: AIOKafkaProducer, tps: Iterable[TopicPartition]) -> None:
    """Let the transaction that has begun end in these partitions, too, though it writes nothing there."""
    for tp in tps:
        producer._txn_manager.maybe_add_partition_to_txn(tp)


# Clients --------------------------------------------------------------------------------------------------------------


def position(client: AIOKafkaConsumer, tp: TopicPartition) -> int | None:
    """The client's current position; None without one: not assigned, or in a rebalance before its callback.

    `AIOKafkaConsumer.position` would wait for one.
    """
    subscriptions = client._subscription
    if not subscriptions.is_assigned(tp):
        return None
    state = subscriptions.subscription.assignment.state_value(tp)
    return int(state.position) if state.has_valid_position else None


async def know(client: AIOKafkaConsumer, topics: Iterable[str]) -> None:
    """Have the client load the metadata of these topics if it does not have it yet.

    A request for an unknown topic first fails inside aiokafka, which retries it after a pause.
    """
    network = client._client
    for topic in topics:
        network.add_topic(topic)
    await network._maybe_wait_metadata()


def fetching_has_ended(client: AIOKafkaConsumer) -> bool:
    """Whether the client's fetch task has failed: it then fetches nothing, and raises nothing."""
    return client._fetcher is not None and bool(client._fetcher.error_future.done())


def set_fetch_wait(client: AIOKafkaConsumer, wait_ms: int, least_bytes: int) -> None:
    """Have the brokers answer the next fetches after ``wait_ms``, or earlier once there are ``least_bytes``.

    A fetch that is under way keeps its wait.
    """
    theirs = client._fetcher
    theirs._fetch_max_wait_ms, theirs._fetch_min_bytes = wait_ms, least_bytes


async def send_request(admin: AIOKafkaAdminClient, request: Any, node_id: int | None = None) -> Any:
    """The response to a request that the client has no method for; ``node_id`` None: by any broker."""
    return await admin._send_request(request, node_id)


class FetchUnanswered:
    """The fetches that a broker has not answered yet. It answers each, with records or without, within its wait."""

    def __init__(self) -> None:
        self._asked_s: dict[object, float] = {}

    @property
    def for_s(self) -> float:
        """Seconds for which the oldest of them has been waiting; 0 if there is none."""
        return steady_s() - min(self._asked_s.values()) if self._asked_s else 0.0

    @contextmanager
    def asking(self, asked_s: float) -> Iterator[None]:
        """Track one fetch for the duration of the block."""
        one = object()
        self._asked_s[one] = asked_s
        try:
            yield
        finally:
            del self._asked_s[one]


def on_log_ends(
    client: AIOKafkaConsumer, tell: Callable[[TopicPartition, LogEnds], None], unanswered: FetchUnanswered | None = None
) -> None:
    """Call ``tell`` with the ends of partitions in each fetch response; ``unanswered`` tracks the open fetches.

    `AIOKafkaConsumer.last_poll_timestamp` is not a substitute: it is wall-clock time when the response was handled.
    """
    network = client._client
    send = network.send

    async def sending(node_id: Any, request: Any, *args: Any, **more: Any) -> Any:
        asked_s = steady_s()
        if not isinstance(request, FetchRequest):
            return await send(node_id, request, *args, **more)
        with unanswered.asking(asked_s) if unanswered is not None else nullcontext():
            response = await send(node_id, request, *args, **more)
        if response is not None:
            for tp, last_stable, high_watermark in _ends(response.topics):
                tell(tp, LogEnds(last_stable, high_watermark, asked_s))
        return response

    network.send = sending


def _ends(topics: Iterable[Any]) -> Iterable[tuple[TopicPartition, int, int]]:
    for topic, partitions in topics:
        for partition, error, high_watermark, last_stable, *_ in partitions:
            if not error:
                yield TopicPartition(topic, partition), int(last_stable), int(high_watermark)
