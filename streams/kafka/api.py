"""The interface between the consumer loop and a Kafka cluster, as protocols and plain data.

`streams.kafka` implements it on a real cluster. The crash tests implement it in memory with the broker's semantics, so
that the same consumer loop runs on both. No other package of `streams` imports a Kafka library.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from monitor.partition.record_batch import RecordBatch, UnreadableRecord
from schemas.review_signature import Signatures
from streams.kafka.outputs import OutputRecord, Outputs
from streams.wording.topic_wording import topic_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TP(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class TopicInfo(NamedTuple):
    """A topic's number of partitions and its id, which changes when the topic is deleted and created again."""

    partitions: int
    id: str


class TransientError(Exception):
    """The cluster cannot be reached or cannot serve now; retry. The message is one readable line."""


class Fenced(Exception):
    """Another writer with the same transactional id has started, or the coordinator has expired this one."""


class OffsetOutOfRange(Exception):
    """A position does not exist any more: the log begins after it or ends before it."""

    def __init__(self, tp: TP, offset: int) -> None:
        super().__init__(f"{tp.topic}-{tp.partition}: offset {offset} does not exist")
        self.tp = tp
        self.offset = offset


class CorruptLog(TransientError):
    """A partition's log is damaged at ``offset``: a retry does not help. Other partitions can still be read.

    The damage may reach up to the offset ``last`` (None: unknown); ``raw`` holds the bytes received.
    """

    def __init__(self, tp: TP, offset: int, why: str, last: int | None = None, raw: bytes = b"") -> None:
        values = {"log": f"{tp.topic}-{tp.partition}", "offset": offset, "why": why}
        one = last is None or last <= offset
        super().__init__(topic_text("damaged", **values) if one else topic_text("damaged_range", last=last, **values))
        self.tp = tp
        self.offset = offset
        self.last = offset if last is None else max(last, offset)
        self.raw = raw

    def passed_over(self, start: int, through: int) -> "FetchedBatch":
        """A batch of one row that stands for the skipped offsets from ``start`` to ``through``."""
        import numpy as np  # imported here because many commands read no records

        row = UnreadableRecord(f"damaged: {self}", start)
        offsets, times = np.array([through], np.int64), np.zeros(1, np.int64)
        return FetchedBatch(start, through + 1, offsets, times, [None], [self.raw], {through: row})


class PermanentError(Exception):
    """The cluster refuses, and a retry does not help: no authorisation, wrong credentials, no such topic."""


@dataclass(frozen=True, slots=True)
class FetchedBatch:
    """Consecutive records of one partition, as columns ``[n]`` in offset order.

    ``start`` is the position from which they were fetched and ``stop``, above it, the position after them. Offsets
    between may be missing (transaction markers, aborted records, compaction), even all: ``n`` may be 0.
    ``timestamps_ms`` are the broker's (`LogAppendTime`). A key or a value may be None. ``unreadable`` has, by offset,
    the rows that are not valid records: see `monitor.partition.record_batch.UnreadableRecord`. ``signatures`` has, by
    offset, the signature headers of reviews (`schemas.review_signature`).
    """

    start: int
    stop: int
    offsets: "NDArray[np.int64]"
    timestamps_ms: "NDArray[np.int64]"
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    unreadable: Mapping[int, UnreadableRecord] = field(default_factory=dict)
    signatures: Mapping[int, Signatures] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets)

    @property
    def size(self) -> int:
        """The bytes of all keys and values."""
        return sum(len(part) for column in (self.keys, self.values) for part in column if part is not None)

    def after(self, position: int) -> "FetchedBatch":
        """The part of the batch from ``position`` on."""
        first = int(self.offsets.searchsorted(position))
        return FetchedBatch(
            position,
            self.stop,
            self.offsets[first:],
            self.timestamps_ms[first:],
            self.keys[first:],
            self.values[first:],
            self.unreadable,
            self.signatures,
        )

    @property
    def rows(self) -> RecordBatch:
        """The batch as the domain's `RecordBatch`."""
        return RecordBatch(
            self.start,
            self.stop,
            self.offsets,
            self.timestamps_ms,
            self.values,
            self.keys,
            self.unreadable,
            self.signatures,
        )


class LogRecord(Protocol):
    """A whole record, with its headers."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class CommittedOffset(NamedTuple):
    """An offset that a consumer group has committed, and the note that was committed with it."""

    offset: int
    note: str


@dataclass(frozen=True, slots=True)
class Listener:
    """The rebalance callbacks of a consumer. Neither may raise, and ``assigned`` must be quick.

    ``revoked`` is awaited before the partitions are given up. When ``assigned`` is called, the partitions are already
    paused: nothing is fetched until `Consumer.resume`.
    """

    revoked: Callable[[frozenset[TP]], Awaitable[None]]
    assigned: Callable[[frozenset[TP]], Awaitable[None]]


class Consumer(Protocol):
    """A member of the consumer group. It does not commit offsets."""

    async def start(self, listener: Listener) -> None:
        """Join the group for all of its topics. Raises TransientError (`start` may be retried) and PermanentError."""
        ...

    async def stop(self) -> None:
        """Leave the group."""
        ...

    def assignment(self) -> frozenset[TP]:
        """The partitions assigned now."""
        ...

    def pause(self, tps: Sequence[TP]) -> None:
        """Stop fetching these partitions; those no longer assigned are ignored."""
        ...

    def resume(self, tps: Sequence[TP]) -> None:
        """Fetch these partitions again; those no longer assigned are ignored."""
        ...

    def seek(self, tp: TP, offset: int) -> None:
        """Continue from ``offset``; ignored if ``tp`` is no longer assigned."""
        ...

    async def poll(self, tps: Sequence[TP], timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        """Return new records of these partitions, at most ``most`` in total; partitions without a seek are ignored.

        Waits for records for at most ``timeout_s``, even if ``tps`` is empty. A failed membership shows only in polls.
        Raises TransientError if no fetch is answered (poll again); OffsetOutOfRange or CorruptLog for one partition
        (seek it elsewhere or leave it out, then poll again); PermanentError (stop the consumer).

        After an error or a cancellation no record is lost: the next poll continues where the last one that returned
        ended. Returned records do not come again without a seek.
        """
        ...

    @property
    def unanswered_s(self) -> float:
        """Seconds for which a fetch has been unanswered, else 0. A healthy broker answers within a second."""
        ...

    def undecided(self) -> dict[TP, int]:
        """The first offset of the open transaction, by partition, where the broker's newest answer showed one."""
        ...


class LogEnds(NamedTuple):
    """The ends of a partition by one fetch response.

    ``last_stable`` is the position of a `read_committed` reader that has read all it can see. From there to
    ``high_watermark`` lie the records of an open transaction and everything written after its first record, committed
    or not. ``asked_s`` is the time of the request by `steady_s`; the time at which the response is handled says
    nothing, for this process may have been stopped meanwhile.
    """

    last_stable: int
    high_watermark: int
    asked_s: float


class Reader(Protocol):
    """Reads partitions without a group. After any error it can only be stopped."""

    async def start(self, positions: Mapping[TP, int]) -> None:
        """Start to fetch these existing partitions from these positions. Raises TransientError and PermanentError."""
        ...

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        """Return new records, at most ``most`` in total; waits for at most ``timeout_s``.

        Raises OffsetOutOfRange, CorruptLog, TransientError and PermanentError; the positions of earlier polls stay
        valid for the next reader.
        """
        ...

    def ends(self) -> dict[TP, LogEnds]:
        """The ends by the newest fetch response of each partition; partitions without one are left out."""
        ...

    async def why_silent(self) -> TransientError | PermanentError:
        """Find out why `ends` has not changed for long: a broker answers every fetch, with records or without."""
        ...

    async def stop(self) -> None:
        """Close."""
        ...


class GroupLoss(NamedTuple):
    """The records from ``offset`` on that were deleted before a group had read them; the log begins at ``start``.

    ``other_log``: the topic was deleted and created again, or cut off, after the group had read up to ``offset``.
    """

    tp: TP
    offset: int
    start: int
    other_log: bool = False


class GroupReader(Protocol):
    """A member of a consumer group that commits offsets. After any error it can only be stopped.

    A group without committed offsets begins at the first records that the topics still have, and so does one whose
    committed offset does not exist any more: see `take_lost`.
    """

    async def start(self) -> None:
        """Join the group. Raises TransientError and PermanentError."""
        ...

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        """Return new committed records, at most ``most`` in total; waits for at most ``timeout_s``.

        Raises TransientError and PermanentError.
        """
        ...

    def take_lost(self) -> Sequence[GroupLoss]:
        """What polls have found lost since the last call. It is found again unless ``start`` is committed."""
        ...

    async def commit(self, tp: TP, offset: int) -> None:
        """Commit that everything before ``offset`` was handled. Until then it is read again after a restart.

        Raises TransientError, also if another member has the partition now, and PermanentError.
        """
        ...

    async def stop(self) -> None:
        """Leave the group."""
        ...


class Writer(Protocol):
    """A transactional producer. After any error it can only be stopped."""

    async def start(self) -> None:
        """Fence every earlier writer of the same transactional id, and end its open transaction.

        Raises TransientError and PermanentError.
        """
        ...

    async def commit(self, records: Outputs, offsets: Mapping[TP, int], note: str = "") -> int:
        """Write the records and commit the group's offsets, each with ``note``, in one transaction.

        At least one of both. Returns the offset of the last record, -1 without records. Raises Fenced, TransientError
        and PermanentError; whether the transaction was committed is then unknown.
        """
        ...

    async def commit_again(self, tps: Sequence[TP]) -> None:
        """Commit again what transactions of this id have left open in these partitions (at least one).

        It writes no record: the markers of a new transaction end the others. Raises as `commit`.
        """
        ...

    async def stop(self) -> None:
        """Close; the broker aborts an open transaction. Never raises."""
        ...


class Appender(Protocol):
    """An idempotent producer without transactions. After any error it can only be stopped."""

    async def start(self) -> None:
        """Connect. Raises TransientError and PermanentError."""
        ...

    async def append(self, records: Sequence[OutputRecord]) -> Mapping[TP, int]:
        """Write the records (at least one) and wait until all replicas in sync have them.

        Returns the last offset of each partition, negative if unknown. Raises TransientError and PermanentError; which
        of the records were written is then unknown.
        """
        ...

    async def stop(self) -> None:
        """Close. Never raises."""
        ...


class Cluster(Protocol):
    """A Kafka cluster as one worker sees it."""

    def consumer(self, topics: Sequence[str], collect_s: float = 0.0) -> Consumer:
        """A new member of the worker's group, which assigns partition n of all topics to the same member.

        ``collect_s``: while records keep coming, the brokers collect them for so long before they answer, or until they
        are many. The first records after a silence are sent at once.
        """
        ...

    def writer(self, transactional_id: str) -> Writer:
        """A new transactional producer."""
        ...

    async def stamp(self, out: OutputRecord) -> int:
        """Append a record outside of any transaction; returns the broker's timestamp of it.

        The broker's clock has reached it when the record is acknowledged. Raises TransientError and PermanentError;
        whether the record was written is then unknown.
        """
        ...

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        """The number of partitions of each existing topic. Raises TransientError and PermanentError."""
        ...

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        """The existing ones of these topics, by one small request. Raises TransientError and PermanentError."""
        ...

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        """The first offset that each partition still has. Raises TransientError and PermanentError."""
        ...

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        """The position of a `read_committed` reader of each partition that has read all it can see.

        It may lag right after a commit: the transaction's marker is written once the commit is acknowledged. When a
        writer has started, the transactions of earlier writers of its id lie before these ends, except what Kafka has
        left open (`streams.worker.running.left_open`). Raises TransientError and PermanentError.
        """
        ...

    async def high_watermarks(self, tps: Sequence[TP]) -> dict[TP, int]:
        """The end of each partition, with what is not committed. Raises TransientError and PermanentError."""
        ...

    def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        """The committed records in ``[start, stop)``, without a group.

        Raises OffsetOutOfRange, CorruptLog, TransientError and PermanentError.
        """
        ...

    def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[Sequence[LogRecord]]:
        """As `read`, but whole records with their headers, which costs more."""
        ...

    async def stop(self) -> None:
        """Close all shared connections."""
        ...
