"""Topics in memory for consumers: committed records only, on a broker that can be unavailable."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence

import numpy as np

from schemas.review_signature import Signatures, signatures_in
from streams.kafka.api import TP, FetchedBatch, LogEnds, OffsetOutOfRange, TopicInfo, TransientError
from streams.runtime.monotonic import steady_s


class FakeTopics:
    """`streams.consumers.topic_reader.TopicReader`. Tests append values, trim logs at either end, and make the broker
    unavailable or silent.

    ``now_ms`` is the broker's time of its answers and of its records.
    """

    def __init__(self, **partitions: int) -> None:
        self.counts = partitions
        self.logs: dict[TP, list[bytes | None]] = {
            TP(topic, number): [] for topic, count in partitions.items() for number in range(count)
        }
        self.first: dict[TP, int] = dict.fromkeys(self.logs, 0)
        self.keys: dict[tuple[TP, int], bytes | None] = {}
        self.signatures: dict[TP, dict[int, Signatures]] = {}
        self.open: dict[TP, int] = {}
        """The first offset of an open transaction: nothing from there on can be read."""
        self.away = self.silent = False
        self.id: str | None = "this-one"
        self.now_ms = 1_000
        self.made = 1
        """How often the topics were created: each time they get other ids."""
        self.polls = 0
        self.readers = 0

    def put(
        self,
        topic: str,
        partition: int,
        *values: bytes | None,
        key: bytes | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> None:
        """Append records, all with that key and these headers. Only signatures of reviews are read."""
        tp = TP(topic, partition)
        if signatures := signatures_in(headers):
            self.signatures.setdefault(tp, {}).update({self.end(tp) + at: signatures for at in range(len(values))})
        self.keys |= {(tp, self.end(tp) + at): key for at in range(len(values))}
        self.logs[tp] += values

    def end(self, tp: TP) -> int:
        """The position after the last record."""
        return self.first[tp] + len(self.logs[tp])

    def stable_end(self, tp: TP) -> int:
        """The position after the last readable record."""
        return self.open.get(tp, self.end(tp))

    def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Delete records as retention does."""
        tp = TP(topic, partition)
        del self.logs[tp][: offset - self.first[tp]]
        self.first[tp] = offset

    def reader(self) -> "FakeReader":
        self.readers += 1
        return FakeReader(self)

    async def cluster_id(self) -> str | None:
        self.must_be_there()
        return self.id

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        self.must_be_there()
        return {name: TopicInfo(self.counts[name], f"{self.made} {name}") for name in names if name in self.counts}

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        self.must_be_there()
        return {topic: self.counts[topic] for topic in topics if topic in self.counts}

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        self.must_be_there()
        return {tp: self.first[tp] for tp in tps}

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        self.must_be_there()
        return {tp: self.stable_end(tp) for tp in tps}

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        self.must_be_there()
        if start < self.first[tp]:
            raise OffsetOutOfRange(tp, start)
        if values := self.logs[tp][start - self.first[tp] : stop - self.first[tp]]:
            offsets = np.arange(start, start + len(values))
            times = np.full(len(values), self.now_ms, np.int64)
            keys = [self.keys.get((tp, start + at)) for at in range(len(values))]
            signatures = self.signatures.get(tp, {})
            yield FetchedBatch(start, start + len(values), offsets, times, keys, values, signatures=signatures)

    def must_be_there(self) -> None:
        """Raise TransientError while the broker is away."""
        if self.away:
            raise TransientError("the broker is away")


_WAIT_S = 0.001
"""How long a poll without records waits. If it returned at once, a follower would keep a processor busy."""


class FakeReader:
    """`streams.kafka.api.Reader`. It returns three records of a partition at a time: batches have boundaries."""

    def __init__(self, topics: FakeTopics) -> None:
        self._topics = topics
        self._at: dict[TP, int] = {}
        self._ends: dict[TP, LogEnds] = {}

    async def start(self, positions: Mapping[TP, int]) -> None:
        self._topics.must_be_there()
        self._at = dict(positions)

    async def poll(self, timeout_s: float, most: int) -> dict[TP, FetchedBatch]:
        await asyncio.sleep(0)
        topics = self._topics
        topics.polls += 1
        topics.must_be_there()
        fetched: dict[TP, FetchedBatch] = {}
        if topics.silent:
            await asyncio.sleep(_WAIT_S)
            return fetched
        for tp, at in self._at.items():
            if not topics.first[tp] <= at <= topics.end(tp):
                raise OffsetOutOfRange(tp, at)
            stable = topics.stable_end(tp)
            values = topics.logs[tp][at - topics.first[tp] : stable - topics.first[tp]][:3]
            asked_s = steady_s() - time.time() + topics.now_ms / 1000
            self._ends[tp] = LogEnds(stable, topics.end(tp), asked_s)
            if values:
                stop = self._at[tp] = at + len(values)
                times = np.full(len(values), topics.now_ms, np.int64)
                keys = [topics.keys.get((tp, offset)) for offset in range(at, stop)]
                signatures = topics.signatures.get(tp, {})
                fetched[tp] = FetchedBatch(at, stop, np.arange(at, stop), times, keys, values, signatures=signatures)
        if not fetched:
            await asyncio.sleep(_WAIT_S)
        return fetched

    def ends(self) -> dict[TP, LogEnds]:
        return self._ends

    async def why_silent(self) -> TransientError:
        return TransientError("the broker does not answer")

    async def stop(self) -> None:
        await asyncio.sleep(0)
