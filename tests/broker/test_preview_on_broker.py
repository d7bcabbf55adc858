"""A preview on a real Kafka: reads what the topics hold, or only what came since a time, and writes nothing."""

import asyncio
import json
import time
import uuid
from contextlib import aclosing
from typing import Any

import pytest
from worker_processes import PARTITIONS
from worker_traffic import Sender, Sent, make_topics, sender_to

from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from monitor.policy.load import loads
from monitor.policy.serialize import canonical, to_plain
from streams.console.previews.process import PreviewLimits, launch
from streams.console.previews.task import Done, Failed, PreviewTask, Progress
from streams.kafka.api import TP
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.settings.load import Settings, load

pytestmark = pytest.mark.services

MINUTE = 60_000
BASE = loads("id: house\nversion: '1'\nextends: none\n", "base")
POLICY = b"""
id: house
version: "2"
extends: none
rules:
- {id: short, behaviour: blind_calling, metric: short_call_ratio, above: 0.5, window: 5m, step: 5m, min_denominator: 5}
"""


def calls(tenant: str, begin_ms: int) -> list[Sent]:
    """Twenty short calls within five minutes."""
    key = tenant.encode()
    home = partition_of(key, PARTITIONS, "murmur2")
    made = []
    for n in range(20):
        start = begin_ms + n * 15_000
        record: dict[str, Any] = {"type": "cdr", "call_id": f"{tenant}-{n}", "tenant_id": tenant}
        record |= {"direction": "outbound", "caller": "+8619000000001", "callee": f"+86138{n:08}"}
        record |= {"start_ms": start, "answer_ms": start, "end_ms": start + 2_000, "outcome": "answered"}
        made.append(Sent(INPUTS.index("cdr"), home, key, json.dumps(record).encode()))
    return made


async def preview(settings: Settings, now_ms: int, since_ms: int | None) -> Done | Failed:
    base = canonical(to_plain(BASE))
    task = PreviewTask(
        POLICY, base, BASE.sha256, "topics", settings, now_ms, since_ms, upheld={"new": True, "x": False}
    )
    progress = []
    async with aclosing(launch(task, PreviewLimits(1 << 30, 300, nice=0))) as reports:
        async for report in reports:
            if not isinstance(report, Progress):
                return report
            progress.append(report)
    raise AssertionError(progress)


async def test_what_the_topics_hold_and_what_came_since(address: str) -> None:
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.in.", f"{own}.out.")
    told = {
        "bootstrap_servers": address,
        "input_prefix": names.input_prefix,
        "output_prefix": names.output_prefix,
    }
    await asyncio.to_thread(make_topics, {f"CALLWARDEN_{name.upper()}": value for name, value in told.items()})
    settings, now_ms = load(told), time.time_ns() // 1_000_000
    async with sender_to(address) as producer:
        sender = Sender(producer, names)
        await sender.send(
            [*calls("old", now_ms - 60 * MINUTE), *calls("new", now_ms - 20 * MINUTE), Sent(0, 0, b"a", b"{")]
        )

    cluster = KafkaCluster(settings)
    try:
        outputs = [
            TP(topic, n) for topic in (names.output("enforcement"), names.output("clock")) for n in range(PARTITIONS)
        ]
        before = await cluster.ends(outputs)
        every = await preview(settings, now_ms, None)
        since = await preview(settings, now_ms, now_ms - 30 * MINUTE)
        nothing = await preview(settings, now_ms, now_ms + 60 * MINUTE)
        assert await cluster.ends(outputs) == before
    finally:
        await cluster.stop()

    assert isinstance(every, Done), every
    assert sorted(one.tenant_id for one in every.result.changed) == ["new", "old"]
    records = every.result.records
    assert (records.read, records.accepted, records.rejected, records.tenants) == (41, 40, 1, 2)
    score = every.result.scores[0]
    assert (every.result.truth, score.bad, score.after and score.after.recall) == ("console", 1, 1.0)
    # Earlier records fill the windows alone.
    assert isinstance(since, Done), since
    assert [one.tenant_id for one in since.result.changed] == ["new"]
    assert since.result.since_ms == now_ms - 30 * MINUTE
    # Nothing has come since then: not even the clock of the topics is read.
    assert nothing == Failed("no_records")
