"""The seam between the engine and a Kafka cluster: what the engine needs of one, as protocols and plain data.

`streams.kafka` is the real one. The crash tests have an in-memory one with the broker's semantics, so that the same
engine runs on both. Nothing else of `streams` imports a Kafka library.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from monitor.partition.record_batch import RecordBatch, UnreadableRecord

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TP(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class TopicInfo(NamedTuple):
    """How many partitions a topic has, and its id: a topic that is deleted and created again gets another one."""

    partitions: int
    id: str


class TransientError(Exception):
    """The cluster cannot be reached or cannot serve now: worth another try. The message is one readable line."""


class Fenced(Exception):
    """Another writer with the same transactional id has started, or the coordinator has given this one up."""


class OffsetOutOfRange(Exception):
    """A position does not exist any more: the log begins after it, or ends before it."""

    def __init__(self, tp: TP, offset: int) -> None:
        super().__init__(f"{tp.topic}-{tp.partition}: offset {offset} does not exist")
        self.tp = tp
        self.offset = offset


class CorruptLog(TransientError):
    """A partition's log is damaged: it cannot be read on from ``offset``, however often it is asked; others can.

    What is damaged may reach up to the offset ``last`` (None: that is not known), and ``raw`` is what came of it.
    """

    def __init__(self, tp: TP, offset: int, why: str, last: int | None = None, raw: bytes = b"") -> None:
        upto = "" if last is None or last <= offset else f" to {last}"
        super().__init__(f"{tp.topic}-{tp.partition}: what is stored at offset {offset}{upto} cannot be read: {why}")
        self.tp = tp
        self.offset = offset
        self.last = offset if last is None else max(last, offset)
        self.raw = raw

    def passed_over(self, start: int, through: int) -> "FetchedBatch":
        """One row that stands for the offsets from ``start`` to ``through``, which are not read."""
        import numpy as np  # here: many commands read no records

        row = UnreadableRecord(f"damaged: {self}", start)
        offsets, times = np.array([through], np.int64), np.zeros(1, np.int64)
        return FetchedBatch(start, through + 1, offsets, times, [None], [self.raw], {through: row})


class PermanentError(Exception):
    """The cluster will not do it however often it is asked: no authorisation, wrong credentials, no such topic."""


@dataclass(frozen=True, slots=True)
class FetchedBatch:
    """Consecutive records of one partition, as columns ``[n]`` in offset order.

    ``start`` is the position from which they were fetched and ``stop``, above it, the position after them; offsets
    between may be missing (markers and aborted records of transactions, compaction), even all: ``n`` may be 0.
    ``timestamps_ms`` are the broker's (`LogAppendTime`). A key or a value may be None. ``unreadable`` names those, by
    their offsets, that are no records: see `monitor.partition.record_batch.UnreadableRecord`.
    """

    start: int
    stop: int
    offsets: "NDArray[np.int64]"
    timestamps_ms: "NDArray[np.int64]"
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    unreadable: Mapping[int, UnreadableRecord] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    def after(self, position: int) -> "FetchedBatch":
        """What lies at ``position`` and behind it."""
        first = int(self.offsets.searchsorted(position))
        return FetchedBatch(
            position,
            self.stop,
            self.offsets[first:],
            self.timestamps_ms[first:],
            self.keys[first:],
            self.values[first:],
            self.unreadable,
        )

    @property
    def rows(self) -> RecordBatch:
        """The same for the domain."""
        one = self
        return RecordBatch(one.start, one.stop, one.offsets, one.timestamps_ms, one.values, one.keys, one.unreadable)


class LogRecord(Protocol):
    """A record whole."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class OutputRecord(NamedTuple):
    """A record to be written."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom the consumer tells of a rebalance. Neither may raise, and ``assigned`` must be quick.

    ``revoked`` is awaited before the partitions are given up. When ``assigned`` is called, the partitions are paused
    already: nothing of them is fetched until `Consumer.resume`.
    """

    revoked: Callable[[frozenset[TP]], Awaitable[None]]
    assigned: Callable[[frozenset[TP]], Awaitable[None]]


class Consumer(Protocol):
    """A member of the consumer group. It commits nothing itself."""

    async def start(self, listener: Listener) -> None:
        """Join the group for all topics that it was made for. Unavailable (it may be started again), Refused."""
        ...

    async def stop(self) -> None:
        """Leave the group."""
        ...

    def assignment(self) -> frozenset[TP]:
        """The partitions that are its own now."""
        ...

    def pause(self, tps: Sequence[TP]) -> None:
        """Fetch these no more; those that are not assigned any more are passed over."""
        ...

    def resume(self, tps: Sequence[TP]) -> None:
        """Fetch these again; those that are not assigned any more are passed over."""
        ...

    def seek(self, tp: TP, offset: int) -> None:
        """Go on from ``offset``; passed over when ``tp`` is not assigned any more."""
        ...

    async def poll(self, tps: Sequence[TP], timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        """What has come on these partitions, at most ``most`` records together; passes over those not sought to.

        Waits until something is there or ``timeout_s`` is over, with no partition at all, too. Unavailable (no fetch
        is answered): ask again, the member is still of use. OffsetGone, Unreadable: likewise, once that partition is
        sought elsewhere or left out. Refused: stop it. Whether its membership is well is only known while it is
        polled.

        After an error, or when it was cancelled, nothing of any partition is passed over: the next poll goes on where
        the last one that returned has ended. What it has returned does not come again unless it is sought back to.
        """
        ...

    @property
    def unanswered_s(self) -> float:
        """For how long a broker has owed the answer to a fetch, which it gives within a second if it can; else 0."""
        ...

    def undecided(self) -> dict[TP, int]:
        """The partitions in which the broker's newest answer showed an open transaction, with its first offset."""
        ...


class LogEnds(NamedTuple):
    """What a broker's answer to a fetch said of the ends of a partition.

    ``last_stable``: the position of a `read_committed` reader that has read all it can see. Above it, up to
    ``high_watermark``, lie the records of an open transaction, and all that others wrote and committed behind its
    first record. ``asked_s``: when it was asked, by `steady_s`. When the answer is looked at says nothing: this process
    may have been stopped meanwhile.
    """

    last_stable: int
    high_watermark: int
    asked_s: float


class Reader(Protocol):
    """Reads partitions without a group. After any error it is of no use any more but to be stopped."""

    async def start(self, positions: Mapping[TP, int]) -> None:
        """Begin to fetch these partitions, which exist, from these positions. Unavailable, Refused."""
        ...

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        """What has come, at most ``most`` records together; waits for ``timeout_s`` at most.

        OffsetGone, Unreadable, Unavailable, Refused: what was fetched by then is not passed over, to the next reader.
        """
        ...

    def ends(self) -> dict[TP, LogEnds]:
        """Of each partition, the answer to the newest fetch that was answered; those without one are left out."""
        ...

    async def why_silent(self) -> TransientError | PermanentError:
        """To be asked when `ends` has not moved for long: a broker answers every fetch, with records or without."""
        ...

    async def stop(self) -> None:
        """Close."""
        ...


class Writer(Protocol):
    """A transactional producer. After any error it is of no use any more but to be stopped."""

    async def start(self) -> None:
        """Fence every earlier writer of the same transactional id, and end what it had begun. Unavailable, Refused."""
        ...

    async def commit(self, records: Sequence[OutputRecord], offsets: Mapping[TP, int]) -> int:
        """Write the records (at least one) and commit the group's offsets in one transaction.

        Returns the offset of the last record. Fenced, Unavailable, Refused: whether it was committed is then unknown.
        """
        ...

    async def stop(self) -> None:
        """Close; a transaction that is open is left to the broker to abort. Never raises."""
        ...


class Cluster(Protocol):
    """A Kafka cluster as one worker sees it."""

    def consumer(self, topics: Sequence[str]) -> Consumer:
        """A new member of the worker's group, which assigns partition n of all topics to the same member."""
        ...

    def writer(self, transactional_id: str) -> Writer:
        """A new transactional producer."""
        ...

    async def stamp(self, out: OutputRecord) -> int:
        """Append a record outside of any transaction; the timestamp that the broker gave it. Unavailable, Refused.

        The broker's clock was there when it is acknowledged. Whether it was written is unknown after an error.
        """
        ...

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """How many partitions each of the topics has; those that do not exist are left out. Unavailable, Refused."""
        ...

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        """Those of the topics that exist. It costs one small request. Unavailable, Refused."""
        ...

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        """The first offset of each that still exists. Unavailable, Refused."""
        ...

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        """The position of a `read_committed` reader of each that has read all it can see. Unavailable, Refused.

        Right after a commit it may lag: a transaction's marker is written once the commit is acknowledged. All
        that earlier writers of an id had begun is behind it when a newer one has started.
        """
        ...

    def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """The committed records in ``[start, stop)``, without a group. OffsetGone, Unreadable, Unavailable, Refused."""
        ...

    def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[Sequence[LogRecord]]:
        """As `read`, but records whole, with their headers, which costs more."""
        ...

    async def stop(self) -> None:
        """Close whatever is shared by the above."""
        ...
