"""Rejections: the reviews among the dead letters that come in after one began to look."""

from streams.cluster import TP
from streams.kafka import KafkaCluster
from streams.names import Names


class RejectedReviews:
    """Looks for reviews that the judge has rejected. To be begun before one is sent."""

    def __init__(self, cluster: KafkaCluster, names: Names) -> None:
        self._cluster = cluster
        self._topic, self._source = names.output("dead-letter"), f"{names.input_prefix}reviews".encode()
        self._at: dict[TP, int] = {}
        self._found: dict[bytes, str] = {}

    async def begin(self) -> None:
        """From here on. Unavailable, Refused."""
        count = (await self._cluster.partitions([self._topic])).get(self._topic, 0)
        self._at = await self._cluster.ends([TP(self._topic, number) for number in range(count)])

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
