"""Rejections: finds reviews among the dead letters."""

from collections.abc import Mapping

from monitor.text.durations import HOUR
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.reviews.signatures import SIGNATURE_HEADER, SignedValue

_ASTRAY_MS = 1 * HOUR  # the most that a reviewer's clock may be ahead of the worker's


class RejectedReviews:
    """Searches for reviews that the worker has rejected. Begin it before a review is sent, or as of when it was."""

    def __init__(self, cluster: KafkaCluster, names: TopicNames) -> None:
        self._cluster = cluster
        self._topic, self._source = names.output("dead-letter"), f"{names.input_prefix}reviews".encode()
        self._at: dict[TP, int] = {}
        self._found: dict[SignedValue, str] = {}

    async def begin(self, since_ms: int | None = None, searched: Mapping[TP, int] | None = None) -> None:
        """Start now, or at a time, skipping what was ``searched`` before. Raises TransientError or PermanentError."""
        count = (await self._cluster.partitions([self._topic])).get(self._topic, 0)
        tps = [TP(self._topic, number) for number in range(count)]
        ends = await self._cluster.ends(tps)
        self._at = dict(ends)
        if since_ms is None:
            return
        # A log that ends before a searched offset was recreated.
        known = {tp: at for tp, at in (searched or {}).items() if tp in ends and at <= ends[tp]}
        unknown = [tp for tp in tps if tp not in known]
        self._at |= known | await self._cluster.offsets_from(unknown, since_ms - _ASTRAY_MS)

    def positions(self) -> Mapping[TP, int]:
        """The offsets up to which it has searched."""
        return dict(self._at)

    async def read_new(self) -> dict[SignedValue, str]:
        """All reviews rejected since, with the reason. Raises TransientError or PermanentError.

        A copy of a signed review without its signature, which anybody may send, is another one.
        """
        ends = await self._cluster.ends(list(self._at))
        for tp, end in ends.items():
            start, self._at[tp] = self._at[tp], end
            if start >= end:
                continue
            async for records in self._cluster.records(tp, start, end):
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("topic") == self._source and record.value is not None:
                        sent = SignedValue(record.value, headers.get(SIGNATURE_HEADER))
                        self._found[sent] = headers.get("reason", b"").decode(errors="replace")
        return self._found
