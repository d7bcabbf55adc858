"""Writes requests with an idempotency key, each once, whichever instance gets it and wherever one is killed.

Each instance has a transactional id of its own, and follows the whole topic of the keys (`key_index`). Several requests
share a transaction. A key belongs to one partition of the topic, by murmur2; no instance owns a partition: the order of
the partition's log decides who writes a request. The steps for one request:

1. Look the key up. It is answered: return the answer, or refuse if the body differs. It is held by another instance
   whose claim is younger than `LEASE_S`, or by a request under way here: the key is in flight. Else continue.
2. Append a claim with an id of its own, outside of transactions. If the key is held, the claim is ``instead_of`` that
   one, and lists the writers that may have begun to write the request.
3. Read the partition through the claim's offset. If the key is not held by this claim, another instance was first: the
   key is in flight.
4. Fence the other writers that the claim lists: start a producer under each of their ids. From here on they can commit
   nothing that they decided before step 3. Then read the partition to its high watermark. If the key is answered now,
   return that answer.
5. The committer takes the waiting requests. If its producer was started since its last transaction, it first reads
   all partitions to their high watermarks. It leaves out every request whose claim does not hold its key any more.
6. One transaction: the accepted records, the rejected ones (dead letters), and the answer under the key.
7. If the transaction fails, or its outcome is unknown: start the producer again, which ends the former transaction, and
   continue with step 5. It finds the answer if the transaction was committed.

Why a request is written once: an instance writes only under a claim that it saw holding the key after its producer was
started (steps 3 and 5). A claim loses the key only to a claim that is appended before the loser's producer is fenced
(steps 2 and 4). So if the loser's transaction began before the fencing, it is committed before, and step 4 reads its
answer, or it fails. If the loser starts its producer again after the fencing, step 5 shows it the other claim.
"""

import asyncio
import uuid
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec
import structlog

from monitor.partition.partitioner import partition_of
from streams.ingest.http.answer import IngestAnswer
from streams.ingest.http.keys.key_index import KeyIndex
from streams.ingest.http.keys.key_log import Answered, AnsweredKey, Claim, HeldKey
from streams.kafka.api import TP, Fenced, PermanentError, TransientError, Writer
from streams.kafka.outputs import OutputRecord
from streams.runtime.monotonic import steady_s

log = structlog.get_logger("callwarden")

LEASE_S: Final = 20.0
"""A claim of another instance is taken over after that time. An instance needs at most `TRANSACTION_S` for one."""

TRANSACTION_S: Final = 15.0
"""The broker aborts a transaction after that time. Until then readers of the topics wait for a killed instance."""

_MOST_BYTES: Final = 8 << 20  # of records in one transaction
_MOST_OF_FREE: Final = 8  # an owner may have so many times as many keys as are free: 8/9 of all, if it is alone
_FIRST_RETRY_S, _LAST_RETRY_S = 0.2, 3.0
_READS_OF_OWNER: Final = 2  # of stored answers at once


class KeyInFlight(Exception):
    """The key's request is under way. ``retry_after_s``: when it may be answered."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__("a request with this key is under way")
        self.retry_after_s = retry_after_s


class OtherBody(Exception):
    """The key was used with another body."""


class TooManyKeys(TransientError):
    """The limit of remembered keys is reached, by all owners or by one."""


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request: its key and the hash of its body (`key_log.digest`), what it writes, and its answer.

    ``owner``: whose share of the keys it uses.
    """

    key: str
    body: str
    records: Sequence[OutputRecord]
    answer: IngestAnswer
    owner: str = ""


class TransactionalCluster(Protocol):
    """A cluster as this writer uses it."""

    def writer(self, transactional_id: str, transaction_s: float | None = None) -> Writer:
        """See `streams.kafka.api.Cluster`."""
        ...


@dataclass(slots=True)
class _Waiting:
    request: KeyedRequest
    claim: str
    done: "asyncio.Future[IngestAnswer]"
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(len(each.value or b"") for each in self.request.records)


Append = Callable[[Sequence[OutputRecord]], Awaitable[Mapping[TP, int]]]
"""Writes records outside of transactions; returns the last offset of each partition."""

ReadAnswer = Callable[[str, int, int], Awaitable[IngestAnswer]]
"""The stored answer under a key, at a partition and an offset."""


class KeyedWriter:
    """See the module. `run` commits; `write` is called by each request."""

    def __init__(
        self,
        cluster: TransactionalCluster,
        index: KeyIndex,
        transactional_id: str,
        append: Append,
        read_answer: ReadAnswer,
        most_keys: int,
        now_s: Callable[[], float] = steady_s,
    ) -> None:
        self._now_s = now_s
        self._cluster, self._index, self._id = cluster, index, transactional_id
        self._append, self._read_answer, self._most_keys = append, read_answer, most_keys
        self._busy: set[str] = set()
        self._reads: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_READS_OF_OWNER))
        self._written: dict[str, KeyedRequest] = {}  # committed, and not in the index yet
        self._queue: deque[_Waiting] = deque()
        self._queued = asyncio.Event()
        self.away = False
        """Whether the last transaction failed."""

    async def write(self, request: KeyedRequest) -> tuple[IngestAnswer, bool]:
        """The request's answer once it is written, and whether it had been written before.

        Raises KeyInFlight, OtherBody, TransientError and PermanentError. A cancelled request may be written later; its
        key shows whether it was.
        """
        while True:
            if not self._index.loaded:
                raise TransientError("the idempotency keys of the past day are not read to their end yet")
            known = self._index.find(request.key)  # 1
            written = self._written.get(request.key)
            if any(each is not None and each.body != request.body for each in (known, written)):
                raise OtherBody
            if written is not None:
                return written.answer, True
            if isinstance(known, AnsweredKey):
                return await self._stored(request, known), True
            if request.key in self._busy:
                raise KeyInFlight(1.0)
            others_s = LEASE_S - (self._now_s() - known.since_s) if known is not None else 0.0
            if known is not None and known.writers[-1] != self._id and others_s > 0:
                raise KeyInFlight(others_s)
            self._busy.add(request.key)
            try:
                answer = await self._claimed(request, known)
            finally:
                self._busy.discard(request.key)
            if answer is not None:
                return answer, False

    async def _claimed(self, request: KeyedRequest, known: HeldKey | None) -> IngestAnswer | None:
        """The answer once this request is written; None if the key is answered by another instance meanwhile."""
        if known is None:
            self._check_share(request.owner)
        others = [each for each in known.writers if each != self._id] if known is not None else []
        former = known.claim if known is not None else None
        claim = Claim(request.body, uuid.uuid4().hex, (*others, self._id), former, request.owner)
        partition = self._partition(request.key)
        offset = (await self._append([self._record(partition, request.key, claim)]))[TP(self._index.topic, partition)]
        await (self._index.read_through(partition, offset) if offset >= 0 else self._index.read_to_end())  # 3
        if not self._holds(request.key, claim.claim):
            if isinstance(self._index.find(request.key), AnsweredKey):
                return None
            raise KeyInFlight(1.0)
        if others:
            await self._fence(others)  # 4
            await self._index.read_to_end()
            if isinstance(self._index.find(request.key), AnsweredKey):
                return None
        waiting = _Waiting(request, claim.claim, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._queued.set()
        return await waiting.done

    def _check_share(self, owner: str) -> None:
        """Raise TooManyKeys at the limit of all keys, and at that of one owner, which leaves room for the others."""
        used, own = len(self._index), self._index.count_of(owner)
        if used >= self._most_keys:
            raise TooManyKeys(f"{used:,} idempotency keys of the past day are remembered, as many as may be")
        if own > _MOST_OF_FREE * (free := self._most_keys - used):
            raise TooManyKeys(f"this token has {own:,} idempotency keys of the past day, and {free:,} are left for all")

    async def _fence(self, writers: Sequence[str]) -> None:
        log.info("taking over a request of another instance", writers=list(writers))
        for each in writers:
            writer = self._cluster.writer(each, TRANSACTION_S)
            try:
                await writer.start()
            finally:
                await writer.stop()

    async def _stored(self, request: KeyedRequest, known: AnsweredKey) -> IngestAnswer:
        if known.offset is None:
            return IngestAnswer(known.received, known.received, 0)
        # Each owner waits for its own: one that repeats request after request delays no other.
        async with self._reads[request.owner]:
            return await self._read_answer(request.key, known.partition, known.offset)

    async def run(self) -> None:
        """Commit until cancelled; retry while Kafka is away."""
        delay_s, writer = _FIRST_RETRY_S, None
        try:
            while True:
                try:
                    if writer is None:
                        writer = self._cluster.writer(self._id, TRANSACTION_S)
                        await writer.start()
                        await self._index.read_to_end()  # 5
                        self.away = False
                    await self._queued.wait()
                    await self._commit(writer)
                    self.away, delay_s = False, _FIRST_RETRY_S
                except (Fenced, TransientError) as error:  # 7
                    self.away = True
                    log.warning("a transaction failed; trying again", why=str(error), again_in_s=delay_s)
                    if writer is not None:
                        await writer.stop()
                        writer = None
                    await asyncio.sleep(delay_s)
                    delay_s = min(2 * delay_s, _LAST_RETRY_S)
        finally:
            if writer is not None:
                await writer.stop()

    async def _commit(self, writer: Writer) -> None:
        """Write waiting requests in one transaction; those that were not written wait on."""
        for key in [key for key in self._written if isinstance(self._index.find(key), AnsweredKey)]:
            del self._written[key]
        some: list[_Waiting] = []
        size = 0
        while self._queue and (not some or size + self._queue[0].size <= _MOST_BYTES):
            each = self._queue.popleft()
            if each.done.done():  # cancelled
                continue
            if not self._holds(each.request.key, each.claim) or each.request.key in self._written:
                self._taken(each)
                continue
            some.append(each)
            size += each.size
        if not self._queue:
            self._queued.clear()
        if not some:
            return
        outs = [record for each in some for record in each.request.records]
        answers = [Answered(each.request.body, each.claim, each.request.answer, each.request.owner) for each in some]
        places = [self._partition(each.request.key) for each in some]
        outs += [self._record(at, each.request.key, one) for at, each, one in zip(places, some, answers, strict=True)]
        try:
            await writer.commit(outs, {})  # 6
        except PermanentError as error:
            for each in some:
                if not each.done.done():
                    each.done.set_exception(error)
            raise TransientError(str(error)) from None
        except (Fenced, TransientError):
            self._queue.extendleft(reversed(some))
            self._queued.set()
            raise
        for each in some:
            self._written[each.request.key] = each.request
            if not each.done.done():
                each.done.set_result(each.request.answer)

    def _taken(self, waiting: _Waiting) -> None:
        """Another transaction has written the request, or another instance has taken it over."""
        key = waiting.request.key
        if key in self._written or isinstance(self._index.find(key), AnsweredKey):
            waiting.done.set_result(waiting.request.answer)
        else:
            waiting.done.set_exception(KeyInFlight(1.0))

    def _holds(self, key: str, claim: str) -> bool:
        known = self._index.find(key)
        return isinstance(known, HeldKey) and known.claim == claim

    def _partition(self, key: str) -> int:
        return partition_of(key.encode(), self._index.partitions, "murmur2")

    def _record(self, partition: int, key: str, record: Claim | Answered) -> OutputRecord:
        return OutputRecord(self._index.topic, partition, key.encode(), msgspec.json.encode(record))
