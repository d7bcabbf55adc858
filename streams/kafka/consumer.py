"""A member of the consumer group whose batches state exactly which range of offsets they cover."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from streams.kafka.aiokafka_private import (
    FetchUnanswered,
    fetching_has_ended,
    on_log_ends,
    position,
    set_fetch_wait,
)
from streams.kafka.api import TP, FetchedBatch, Listener, LogEnds, OffsetOutOfRange, PermanentError
from streams.kafka.assignor import NumberAssignor
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.fetch import columnar_fetch
from streams.kafka.fetch.columnar_fetch import CorruptBatch
from streams.kafka.fetch.damage import DamageRetries
from streams.kafka.fetch.record_columns import columns
from streams.kafka.metadata.queries import MetadataQueries

_log = logging.getLogger(__name__)
_NOBODY: Final = TopicPartition("", 0)
_METADATA_MS = 10_000  # a topic that was created again is assigned within this time
_JOIN_S = 90.0
_STOP_S = 10.0
_SILENT_S = 10.0  # without an answer to any fetch, while we wait for records
_REBALANCE_MS = 30_000  # how long the group waits for a member to give up its partitions
# With a backlog: less than a fetch returns of one partition at most, or the broker would wait although it is there.
_BACKLOG_BYTES = 1 << 19
_COLLECT_BYTES = 8 << 20  # without one
_ANSWER_MS = 500  # a broker answers a fetch after this time, even without records


class KafkaConsumer:
    """See `streams.kafka.api.Consumer`.

    A position is set by the caller's seek, advances with what `poll` returns, and is dropped in every rebalance. So
    `FetchedBatch.start` is where the former batch ended, whatever aiokafka has skipped since.
    """

    def __init__(
        self, clients: Clients, questions: MetadataQueries, topics: Sequence[str], collect_s: float = 0.0
    ) -> None:
        self._clients = clients
        self._collect_s = collect_s
        self._came_s: float | None = None  # when a poll last returned records
        self._questions = questions
        self._topics = list(topics)
        self._client: AIOKafkaConsumer | None = None
        self._listener: Listener | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._answers: dict[TopicPartition, int | None] = {}
        self._silent_s = 0.0
        self._damage = DamageRetries()
        self._unanswered = FetchUnanswered()
        self._ends: dict[TP, LogEnds] = {}

    async def start(self, listener: Listener) -> None:
        if self._client is not None:
            raise RuntimeError("the consumer is started already")
        missing = set(self._topics) - (await self._questions.partitions(self._topics)).keys()
        if missing:  # aiokafka would wait for them, or have them created
            names = ", ".join(sorted(missing))
            raise PermanentError(
                f"no such topic, or no permission to see it: {names}; `callwarden topics create` creates them"
            )
        settings = self._clients.settings
        rebalance_ms = max(_REBALANCE_MS, settings.session_timeout_ms)
        client = self._clients.reader(
            group_id=self._clients.group,
            # Only one: aiokafka joins once for each, and two members with two can keep each other out for minutes.
            partition_assignment_strategy=(NumberAssignor,),
            metadata_max_age_ms=_METADATA_MS,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_ms,
            rebalance_timeout_ms=rebalance_ms,
            request_timeout_ms=rebalance_ms + 10_000,  # longer than the broker takes to answer a join
            # No limit: a member that owns nothing is not polled, and would leave the group for good.
            max_poll_interval_ms=2**31 - 1,
        )
        on_log_ends(client, self._heard, self._unanswered)
        client.subscribe(self._topics, listener=_Rebalances(self, client))
        self._client, self._listener = client, listener
        try:
            async with asyncio.timeout(_JOIN_S):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise await self._clients.explain_error(error, f"joining group {self._clients.group}") from None

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await close(client.stop(), _STOP_S)

    def assignment(self) -> frozenset[TP]:
        return frozenset(TP(*tp) for tp in self._client.assignment()) if self._client else frozenset()

    def pause(self, tps: Sequence[TP]) -> None:
        for mine in self._mine(tps):
            self._started.pause(mine)

    def resume(self, tps: Sequence[TP]) -> None:
        for mine in self._mine(tps):
            self._started.resume(mine)

    def seek(self, tp: TP, offset: int) -> None:
        for mine in self._mine([tp]):
            self._started.seek(mine, offset)
            self._positions[mine] = offset

    async def poll(self, tps: Sequence[TP], timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        client = self._started
        wanted = [tp for tp in self._mine(tps) if tp in self._positions]
        since = time.monotonic()
        try:
            # aiokafka's own timeout does not hold during a rebalance. Cancelling loses no record: it waits only while
            # it holds none.
            async with asyncio.timeout(timeout_s + 0.1):
                batches = await self._getmany(client, wanted, timeout_s, most)
        except TimeoutError:
            return {}
        except OffsetOutOfRangeError as error:
            for tp, offset in error.args[0].items():
                if self._positions.get(tp) == offset:
                    raise OffsetOutOfRange(TP(*tp), offset) from None
            return {}  # of a position that is no longer ours
        except CorruptBatch as torn:
            if (unreadable := self._damage.met(torn)) is not None:
                raise unreadable from None
            return {}
        except KafkaError as error:
            if type(error) is KafkaError:  # an unexpected error has ended aiokafka's coordinator task
                raise PermanentError(f"the membership of group {self._clients.group} has failed: {error}") from None
            raise translate_error(error, f"as member of group {self._clients.group}") from None
        fetched = {}
        kept = self._mine(wanted)
        for tp in kept:
            start, stop = self._positions.get(tp), position(self._started, tp)
            if start is not None and stop is not None and stop > start:
                fetched[TP(*tp)] = columns(start, stop, batches.get(tp, ()))
                self._positions[tp] = stop
        self._set_wait(any(len(one) for one in batches.values()), fetched)
        await self._notice_silence(kept, bool(fetched), time.monotonic() - since)
        return fetched

    def _set_wait(self, came: bool, fetched: Mapping[TP, FetchedBatch]) -> None:
        """Set how long the brokers wait with the answers to the next fetches. ``came``: a poll returned records."""
        if not self._collect_s:
            return
        now_s = time.monotonic()
        if came:
            self._came_s = now_s
        # An answer that was collected comes after ``collect_s``, so only a longer silence means that nothing came.
        collect = self._came_s is not None and now_s - self._came_s < 2 * self._collect_s
        if collect:
            backlog = any(batch.stop < self._ends[tp].last_stable for tp, batch in fetched.items() if tp in self._ends)
            least_bytes = _BACKLOG_BYTES if backlog else _COLLECT_BYTES
            set_fetch_wait(self._started, round(self._collect_s * 1000), least_bytes)
        else:
            set_fetch_wait(self._started, _ANSWER_MS, 1)

    @property
    def unanswered_s(self) -> float:
        return self._unanswered.for_s

    def undecided(self) -> dict[TP, int]:
        mine = self.assignment()
        return {
            tp: one.last_stable for tp, one in self._ends.items() if tp in mine and one.high_watermark > one.last_stable
        }

    def _heard(self, tp: TopicPartition, ends: LogEnds) -> None:
        self._ends[TP(*tp)] = ends

    async def revoked(self, client: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> None:
        """Handle that ``client`` is about to give up ``tps``."""
        if client is self._client and self._listener is not None:
            await _tell(self._listener.revoked, tps)

    async def assigned(self, client: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> None:
        """Handle the complete new assignment ``tps`` of ``client``, which starts to fetch when this returns."""
        if client is not self._client or self._listener is None:
            return  # stopped while it joined
        self._positions.clear()
        self._answers.clear()
        self._silent_s = 0.0
        self._started.pause(*tps)
        for tp in tps:
            # Any position works: without one aiokafka asks for the group's, and raises if there is none.
            self._started.seek(tp, 0)
        await _tell(self._listener.assigned, tps)

    @property
    def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise RuntimeError("the consumer is not started")
        return self._client

    def _mine(self, tps: Iterable[tuple[str, int]]) -> list[TopicPartition]:
        assigned = self._client.assignment() if self._client else ()  # of tuples, too, as those of ``tps`` are
        return [TopicPartition(*tp) for tp in tps if tp in assigned]

    async def _getmany(
        self, client: AIOKafkaConsumer, wanted: Sequence[TopicPartition], timeout_s: float, most: int
    ) -> Any:
        """As the client's `getmany`, but an error loses no record."""
        try:
            # An empty list would mean all; a name that is not assigned only maintains the membership.
            return await columnar_fetch.poll(client, *(wanted or [_NOBODY]), timeout_s=timeout_s, most=most)
        except Exception:
            for tp in wanted:  # records of other partitions that aiokafka took before the error must come again
                ours, theirs = self._positions.get(tp), position(client, tp)
                if ours is not None and theirs is not None and theirs != ours:
                    client.seek(tp, ours)
            raise

    async def _notice_silence(self, waited_for: Sequence[TopicPartition], came: bool, waited_s: float) -> None:
        """Raise TransientError, or PermanentError with the reason, if no fetch has been answered for a while.

        A broker answers every fetch, empty or not; aiokafka retries without an error.
        """
        asked = set(waited_for) - self._started.paused()
        answers = {tp: self._started.last_poll_timestamp(tp) for tp in asked}
        answered = any(self._answers.get(tp, -1) != answer for tp, answer in answers.items())
        self._answers.update(answers)
        if came or answered or not asked:
            self._silent_s = 0.0
            return
        self._silent_s += waited_s
        if self._silent_s >= _SILENT_S:
            self._silent_s = 0.0
            if fetching_has_ended(self._started):
                raise PermanentError("fetching has ended with an error in the client")
            raise await self._clients.explain_error(TimeoutError(), f"fetching from {self._clients.servers}")


async def _tell(callback: Callable[[frozenset[TP]], Awaitable[None]], tps: Sequence[TopicPartition]) -> None:
    try:
        await callback(frozenset(TP(*tp) for tp in tps))
    except Exception:
        _log.exception("a rebalance could not be handled")  # aiokafka would swallow it
        raise


class _Rebalances(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's rebalance callbacks, effective as long as ``client`` is the member's."""

    def __init__(self, member: KafkaConsumer, client: AIOKafkaConsumer) -> None:
        self._member, self._client = member, client

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        if revoked:
            await self._member.revoked(self._client, revoked)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        await self._member.assigned(self._client, assigned)
