"""A member of a consumer group that commits its offsets after its records were handled.

It decides itself where each partition begins. aiokafka would begin at the first record wherever a committed offset does
not exist any more, and say nothing of the records that were deleted before. Each commit notes the topic's id: an offset
of a topic that was deleted and created again may exist in the new one, behind records that nobody has read.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError, OffsetOutOfRangeError

from streams.kafka.aiokafka_private import fetching_has_ended, position
from streams.kafka.api import (
    TP,
    CommittedOffset,
    FetchedBatch,
    GroupLoss,
    OffsetOutOfRange,
    PermanentError,
    TopicInfo,
    TransientError,
)
from streams.kafka.clients import Clients, close
from streams.kafka.errors import translate_error
from streams.kafka.fetch import columnar_fetch
from streams.kafka.fetch.record_columns import columns
from streams.kafka.metadata.queries import MetadataQueries
from streams.kafka.topic_names import absence

_JOIN_S = 90.0
_STOP_S = 5.0
_REBALANCE_MS = 30_000
_LOOKS = 5  # a newly elected leader learns late how far its log is committed


class KafkaGroupReader:
    """See `streams.kafka.api.GroupReader`."""

    def __init__(self, clients: Clients, questions: MetadataQueries, topics: Sequence[str], group: str) -> None:
        self._clients, self._questions, self._topics, self._group = clients, questions, list(topics), group
        self._client: AIOKafkaConsumer | None = None
        self._unplaced: frozenset[TopicPartition] = frozenset()
        self._notes: dict[TP, str] = {}
        self._lost: list[GroupLoss] = []
        self._cut_short = 0

    async def start(self) -> None:
        settings = self._clients.settings
        client = self._clients.reader(
            group_id=self._group,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_ms,
            rebalance_timeout_ms=max(_REBALANCE_MS, settings.session_timeout_ms),
            request_timeout_ms=max(_REBALANCE_MS, settings.session_timeout_ms) + 10_000,
            max_poll_interval_ms=2**31 - 1,  # records may be handled for as long as that takes
        )
        client.subscribe(self._topics, listener=_Assignments(self, client))
        self._client = client
        try:
            async with asyncio.timeout(_JOIN_S):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await self.stop()
            raise await self._clients.explain_error(error, f"joining group {self._group}") from None

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        client = self._started
        if self._unplaced:
            await self._place(client, self._unplaced)
        try:
            # aiokafka's own timeout does not hold during a rebalance.
            async with asyncio.timeout(timeout_s + 0.1):
                batches = await columnar_fetch.poll(client, timeout_s=timeout_s, most=most)
        except TimeoutError:
            return {}
        except OffsetOutOfRangeError as error:  # the next member finds out what was deleted
            tp, offset = next(iter(error.args[0].items()))
            raise TransientError(str(OffsetOutOfRange(TP(*tp), offset))) from None
        except KafkaError as error:
            raise translate_error(error, f"as member of group {self._group}") from None
        if fetching_has_ended(client):
            raise PermanentError("fetching has ended with an error in the client")
        fetched = {}
        for tp, records in batches.items():
            stop = position(client, tp)
            if len(records) and stop is not None:
                fetched[TP(*tp)] = columns(int(records.offsets[0][0]), stop, records)
        return fetched

    async def commit(self, tp: TP, offset: int) -> None:
        try:
            await self._started.commit({TopicPartition(*tp): (offset, self._notes.get(tp, ""))})
        except (CommitFailedError, IllegalStateError):
            raise TransientError(
                f"{tp.topic}-{tp.partition} has gone to another member of group {self._group}, which reads the same "
                "records again"
            ) from None
        except KafkaError as error:
            raise translate_error(error, f"committing offsets of group {self._group}") from None

    def take_lost(self) -> list[GroupLoss]:
        lost, self._lost = self._lost, []
        return lost

    def assigned(self, client: object, tps: Sequence[TopicPartition]) -> None:
        """Fetch nothing of the new assignment ``tps`` of ``client`` until `poll` has found where it begins."""
        if client is not self._client or not tps:
            return
        self._unplaced = frozenset(tps)
        self._started.pause(*tps)
        for tp in tps:
            self._started.seek(
                tp, 0
            )  # any position works: without one aiokafka asks for the group's, and raises if none is

    async def _place(self, client: AIOKafkaConsumer, unplaced: frozenset[TopicPartition]) -> None:
        """Begin to fetch these partitions, unless they were assigned again meanwhile. Raises as `poll`."""
        tps = [TP(*tp) for tp in unplaced]
        topics = await self._questions.topics({tp.topic for tp in tps})
        if missing := {tp.topic for tp in tps} - topics.keys():
            raise TransientError(absence(sorted(missing), ours=True))
        committed = await self._questions.committed(self._group, tps)
        try:
            starts, ends = await client.beginning_offsets(list(unplaced)), await client.end_offsets(list(unplaced))
        except (KafkaError, OSError) as error:
            raise translate_error(error, f"as member of group {self._group}") from None
        places = {
            tp: _Place.of(
                tp, committed.get(tp), topics[tp.topic], starts[TopicPartition(*tp)], ends[TopicPartition(*tp)]
            )
            for tp in tps
        }
        if any(place.cut_short for place in places.values()) and self._cut_short < _LOOKS:
            self._cut_short += 1
            return  # the next poll looks again
        if unplaced is not self._unplaced:
            return
        self._unplaced, self._cut_short = frozenset(), 0
        for tp, place in places.items():
            self._notes[tp] = topics[tp.topic].id
            self._lost += [place.lost] if place.lost is not None else []
            client.seek(TopicPartition(*tp), place.start)
        client.resume(*unplaced)
        for tp in tps:
            if tp not in committed:  # else what is deleted before the first commit would be no loss
                await self.commit(tp, places[tp].start)

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await close(client.stop(), _STOP_S)

    @property
    def _started(self) -> AIOKafkaConsumer:
        if self._client is None:
            raise RuntimeError("the reader is not started")
        return self._client


class _Place(NamedTuple):
    """Where a partition begins, and what was lost before. ``cut_short``: the log ends before the group's offset."""

    start: int
    lost: GroupLoss | None = None
    cut_short: bool = False

    @classmethod
    def of(cls, tp: TP, committed: CommittedOffset | None, topic: TopicInfo, start: int, end: int) -> "_Place":
        """The place in a log from ``start`` to ``end``. A log that is not the committed one is read from its start."""
        if committed is None:
            return cls(start)
        offset = committed.offset
        if committed.note not in ("", topic.id):
            return cls(start, GroupLoss(tp, offset, start, other_log=True))
        if offset > end:
            return cls(start, GroupLoss(tp, offset, start, other_log=True), cut_short=True)
        return cls(offset) if offset >= start else cls(start, GroupLoss(tp, offset, start))


class _Assignments(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """aiokafka's rebalance callbacks, effective as long as ``client`` is the member's."""

    def __init__(self, member: KafkaGroupReader, client: AIOKafkaConsumer) -> None:
        self._member, self._client = member, client

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        pass

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        self._member.assigned(self._client, assigned)
