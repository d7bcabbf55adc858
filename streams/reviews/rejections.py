"""Rejections: the reviews among the dead letters from some time on."""

from monitor.policy.durations import HOUR
from streams.cluster import TP
from streams.kafka import KafkaCluster
from streams.names import Names

_ASTRAY_MS = 1 * HOUR  # how far a reviewer's clock may be ahead of the worker's


class RejectedReviews:
    """Looks for reviews that the judge has rejected. To be begun before one is sent, or as of when it was."""

    def __init__(self, cluster: KafkaCluster, names: Names) -> None:
        self._cluster = cluster
        self._topic, self._source = names.output("dead-letter"), f"{names.input_prefix}reviews".encode()
        self._at: dict[TP, int] = {}
        self._found: dict[bytes, str] = {}

    async def begin(self, since_ms: int | None = None) -> None:
        """From here on, or from an instant on. Unavailable, Refused."""
        count = (await self._cluster.partitions([self._topic])).get(self._topic, 0)
        tps = [TP(self._topic, number) for number in range(count)]
        ends = await self._cluster.ends(tps)
        self._at = ends if since_ms is None else ends | await self._cluster.offsets_from(tps, since_ms - _ASTRAY_MS)

    async def look(self) -> dict[bytes, str]:
        """The values of all that were rejected since, with the reason. Unavailable, Refused."""
        ends = await self._cluster.ends(list(self._at))
        for tp, end in ends.items():
            start, self._at[tp] = self._at[tp], end
            async for records in self._cluster.records(tp, start, end):
                for record in records:
                    headers = dict(record.headers)
                    if headers.get("topic") == self._source and record.value is not None:
                        self._found[record.value] = headers.get("reason", b"").decode(errors="replace")
        return self._found
