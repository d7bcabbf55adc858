"""A private Kafka node with the topics of a few workers, for tests that kill or replace workers."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from worker_processes import Fleet, wait_for
from worker_traffic import Sender, Sent, make_topics, policy_file

from monitor.partition.checkpoint import DecidingSettings
from streams.dev.kafka_cluster import DevCluster
from streams.dev.kafka_node import DevKafka
from streams.kafka.topic_names import TopicNames

LIVE = DecidingSettings(idle_after_ms=3_000, outage_grace_ms=26 * 3_600_000)
SESSION_S = 6
# The state is compacted while the test runs.
_COMPACTING = {
    "log.roll.ms": "5000",
    "log.cleaner.min.cleanable.ratio": "0.01",
    "log.cleaner.backoff.ms": "1000",
    "log.segment.delete.delay.ms": "1000",
}


@dataclass(frozen=True)
class Platform:
    """A private node or cluster, with the topics, and the environment of the workers."""

    node: DevKafka | DevCluster
    names: TopicNames
    policy: Path
    environment: dict[str, str]


@pytest.fixture
async def platform(jars: Path, tmp_path: Path) -> AsyncIterator[Platform]:
    """The topics on a node that may be killed."""
    with DevKafka(tmp_path / "node", jars, properties=_COMPACTING) as node:
        yield await _with_topics(node, tmp_path, replicas=1)


@pytest.fixture
async def three_brokers(jars: Path, tmp_path: Path) -> AsyncIterator[Platform]:
    """The topics on three nodes, replicated to all; a write needs two."""
    with DevCluster(tmp_path / "cluster", jars, 3, properties=_COMPACTING) as cluster:
        yield await _with_topics(cluster, tmp_path, replicas=3)


async def _with_topics(node: DevKafka | DevCluster, folder: Path, replicas: int) -> Platform:
    names = TopicNames("in.", "out.")
    policy = policy_file(folder)
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": node.address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{uuid.uuid4().hex[:8]}",
        "CALLWARDEN_SESSION_TIMEOUT": f"{SESSION_S}s",
        "CALLWARDEN_HEARTBEAT": "2s",
        "CALLWARDEN_POLICY": str(policy),
        "CALLWARDEN_IDLE_AFTER": f"{LIVE.idle_after_ms // 1000}s",
        "CALLWARDEN_OUTAGE_GRACE": f"{LIVE.outage_grace_ms // 1000}s",
    }
    await asyncio.to_thread(make_topics, environment, replicas)
    return Platform(node, names, policy, environment)


async def drain(fleet: Fleet, sender: Sender, calls_now: Callable[[int], list[Sent]]) -> None:
    """Send current calls until the calls' clocks have passed all others; then wait until the lag is zero."""
    for number in range(8):
        await sender.send(calls_now(number))
        await asyncio.sleep(1)
    await asyncio.to_thread(fleet.settle)

    def done() -> bool:
        return all(worker.lag() == 0 for worker in fleet.running)

    await asyncio.to_thread(wait_for, done, "all records read")
    # The clocks of silent sources advance once more, and the resulting decisions are committed.
    await asyncio.sleep(2 * LIVE.idle_after_ms / 1000 + 2)
    await asyncio.to_thread(wait_for, done, "all records are still read")
