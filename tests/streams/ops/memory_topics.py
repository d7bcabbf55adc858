"""Topics in memory, for replays of them."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any

import numpy as np

from helpers.call_lines import call_line
from monitor.decoding.input_topics import CARRIES, INPUTS
from monitor.partition.journal import JournalEntry
from monitor.partition.partitioner import partition_of
from monitor.policy.load import loads
from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from schemas import codec
from streams.kafka.api import TP, FetchedBatch
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import TopicReplayOptions, replay_topics
from streams.topics.transaction_records import encode_journal_entry

NAMES = TopicNames()
T0 = 1_772_409_600_000  # 2026-03-02T00:00:00Z
MINUTE = 60_000
TOPIC_OF = {str(kind.__struct_config__.tag): topic for topic, kinds in CARRIES.items() for kind in kinds}
RULE = {
    "id": "many-calls",
    "behaviour": "blind_calling",
    "metric": "attempts",
    "above": 2,
    "window": "5m",
    "step": "5m",
}


def policy_of(mode: str) -> Policy:
    rule = RULE | {"mode": mode}
    made = {"id": "p", "version": "1", "extends": "none", "defaults": {"lateness": "10m"}, "rules": [rule]}
    return loads(json.dumps(made), "policy.json")


POLICY = policy_of("enforce")


class Log:
    """One partition: records by offset, with possible gaps."""

    def __init__(self) -> None:
        self.start = 0
        self.end = 0
        self.records: list[tuple[int, int, bytes | None, bytes | None]] = []

    def append(self, key: bytes | None, value: bytes | None, timestamp_ms: int) -> None:
        self.records.append((self.end, timestamp_ms, key, value))
        self.end += 1


class Logs:
    """The part of `streams.kafka.api.Cluster` that a replay uses: pieces are cut differently each time,
    some are empty.
    """

    def __init__(self, topics: dict[str, int], seed: int) -> None:
        self.topics = topics
        self.logs = {TP(topic, n): Log() for topic, count in topics.items() for n in range(count)}
        self._rng = random.Random(seed)

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        return {topic: self.topics[topic] for topic in topics if topic in self.topics}

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: self.logs[tp].start for tp in tps}

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return {tp: self.logs[tp].end for tp in tps}

    async def read(self, tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        while start < stop:
            after = min(start + self._rng.choice((1, 2, 7, 60)), stop)
            found = [record for record in self.logs[tp].records if start <= record[0] < after]
            offsets, timestamps = np.array([one[:2] for one in found], np.int64).reshape(-1, 2).T
            if found or after < stop:  # a cluster need not report the end
                yield FetchedBatch(
                    start, after, offsets, timestamps, [one[2] for one in found], [one[3] for one in found]
                )
            start = after


class Topics:
    """The topics of `count` partitions."""

    def __init__(self, count: int, seed: int = 0, without: Sequence[str] = ()) -> None:
        self.count = count
        names = [*NAMES.inputs, NAMES.output("clock")]
        self.cluster = Logs({name: count for name in names if name not in without}, seed)
        self.warnings: list[str] = []

    def log(self, topic: str, number: int) -> Log:
        return self.cluster.logs[TP(NAMES.input_prefix + topic, number)]

    def call(self, call_id: str, end_ms: int, ahead_ms: int = 0) -> bytes:
        """The bytes of a call of the tenant acme, in its partition."""
        value = call_line(call_id, end_ms)
        self.log("cdr", partition_of(b"acme", self.count, "murmur2")).append(b"acme", value, end_ms - ahead_ms)
        return value

    def entry(self, number: int, source: str, entry: JournalEntry) -> None:
        self.log("clock", number).append(b"0", encode_journal_entry(INPUTS.index(source), entry), T0)

    def replay(self, policy: Policy = POLICY, **options: Any) -> Outcome:
        cluster: Any = self.cluster
        return asyncio.run(
            replay_topics(cluster, NAMES, policy, TopicReplayOptions(**options), warn=self.warnings.append)
        )


def dealt(line: bytes, count: int, rng: random.Random) -> tuple[str, int, bytes | None]:
    """The topic, partition and key of a line; a line that is not a record goes to any of them."""
    try:
        record = codec.decode(line)
    except codec.DECODE_ERRORS:
        return rng.choice(INPUTS), rng.randrange(count), rng.choice((None, b"x"))
    key = record.tenant_id.encode()
    return TOPIC_OF[str(record.__struct_config__.tag)], partition_of(key, count, "murmur2"), key
