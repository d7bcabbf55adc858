"""A ban follows an owner to another partition on a real Kafka, while workers are killed with -9: each takes it once."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at
from deadlines import deadline
from worker_processes import callwarden, fleet_of

from monitor.partition.journal import OwnerBanTaken
from monitor.partition.partitioner import partition_of
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.topics.transaction_records import decode_journal_entry, is_tick

pytestmark = pytest.mark.services

MINUTE = 60_000
TOPIC_OF = {"tenant": "tenants", "application": "tenants", "finding": "findings", "review": "reviews"}
TOPIC_OF |= {"complaint": "complaints", "cdr": "cdr"}
NUMBERS = (0, 1)
NAMES = [[f"t{n}" for n in range(20) if partition_of(b"t%d" % n, 2, "murmur2") == number] for number in NUMBERS]
BAD, OTHER = NAMES[0][0], NAMES[1][0]


class Topics:
    """The topics of two partitions of one application."""

    def __init__(self, address: str) -> None:
        prefix = f"{uuid.uuid4().hex[:12]}."
        self.address, self.names = address, TopicNames(prefix, prefix)
        self.environment = {
            "CALLWARDEN_BOOTSTRAP_SERVERS": address,
            "CALLWARDEN_INPUT_PREFIX": prefix,
            "CALLWARDEN_OUTPUT_PREFIX": prefix,
            "CALLWARDEN_PARTITIONS": "2",
            "CALLWARDEN_REPLICATION_FACTOR": "1",
            "CALLWARDEN_SESSION_TIMEOUT": "6s",
            "CALLWARDEN_HEARTBEAT": "2s",
            "CALLWARDEN_IDLE_AFTER": "10m",
        }

    async def send(self, *records: dict[str, Any]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.address) as producer:
            for record in records:
                key = record["tenant_id"].encode()
                topic = self.names.input_prefix + TOPIC_OF[record["type"]]
                await producer.send(topic, json.dumps(record).encode(), key, partition_of(key, 2, "murmur2"))
            await producer.flush()

    async def pass_time(self, at_ms: int) -> None:
        """Move the clocks of all sources to this event time, by records that decide nothing."""
        for name in (names[1] for names in NAMES):
            about = {"tenant_id": name, "updated_ms": at_ms}
            some_id = f"{at_ms}"
            await self.send(
                about | {"type": "tenant", "declared_businesses": [], "numbers": []},
                about
                | {"type": "complaint", "complaint_id": some_id, "category": "other", "status": "received"}
                | {"reported_ms": at_ms},
                about | {"type": "finding", "finding_id": some_id, "behaviour": "blind_calling", "status": "suspected"},
                about
                | {"type": "review", "review_id": some_id, "enforcement_id": "none", "verdict": "uphold"}
                | {"reviewer": "ops", "reason": "none"},
                {"type": "cdr", "call_id": some_id, "tenant_id": name, "direction": "outbound", "caller": "1"}
                | {"callee": "2", "start_ms": at_ms - 1, "end_ms": at_ms, "outcome": "no_answer"},
            )

    async def values(self, name: str, numbers: tuple[int, ...] = NUMBERS) -> list[bytes]:
        found: list[bytes] = []
        async with self._reader() as cluster:
            for tp in [TP(self.names.output(name), number) for number in numbers]:
                start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
                async for fetched in cluster.read(tp, start, end):
                    found += [value or b"" for value in fetched.values]
        return found

    async def kinds(self) -> Counter[tuple[str, str, str]]:
        data = [json.loads(value)["data"] for value in await self.values("enforcement")]
        return Counter((one["tenant_id"], one["behaviour"], one["kind"]) for one in data)

    async def decided(self, *one: str) -> None:
        async with deadline(f"{one} is decided"):
            while one not in await self.kinds():
                await asyncio.sleep(0.2)

    async def bans_taken(self, number: int) -> list[OwnerBanTaken]:
        values = [value for value in await self.values("clock", (number,)) if not is_tick(value)]
        entries = [decode_journal_entry(value)[1] for value in values]
        return [entry for entry in entries if isinstance(entry, OwnerBanTaken)]

    @asynccontextmanager
    async def _reader(self) -> AsyncIterator[Any]:
        async with cluster_at(self.address) as cluster:
            yield cluster


async def test_a_ban_follows_its_owner_once_while_workers_are_killed(address: str, tmp_path: Path) -> None:
    topics = Topics(address)
    await asyncio.to_thread(callwarden, topics.environment, "topics", "create")
    begun_ms = time.time_ns() // 1_000_000 // (5 * MINUTE) * 5 * MINUTE - 180 * MINUTE
    tenant = {"type": "tenant", "declared_businesses": [], "numbers": [], "owner_id": "o", "updated_ms": begun_ms}
    complaint: dict[str, object] = {"type": "complaint", "tenant_id": BAD, "complaint_id": "k", "category": "fraud"}
    complaint |= {"reported_ms": begun_ms}
    application = {"type": "application", "declared_business": "service", "tenant_id": OTHER}
    await topics.send(*(tenant | {"tenant_id": name} for name in (BAD, OTHER)))
    await topics.send(complaint | {"status": "verified", "updated_ms": begun_ms + MINUTE})
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait(topics.names.owners.topic, b"not a ban", b"x", 0)
    with fleet_of(tmp_path, topics.environment) as fleet:
        worker = fleet.add()
        await topics.pass_time(begun_ms + 30 * MINUTE)
        await topics.decided(BAD, "verified_fraud_complaint", "ban")
        worker.kill()
        worker = fleet.add()
        await topics.decided(OTHER, "owner_banned", "ban")
        await topics.send(application | {"application_id": "a1", "updated_ms": begun_ms + 31 * MINUTE})
        await topics.send(complaint | {"status": "dismissed", "updated_ms": begun_ms + 61 * MINUTE})
        await topics.pass_time(begun_ms + 90 * MINUTE)
        await topics.decided(OTHER, "banned_owner", "admission_rejected")
        await topics.decided(BAD, "verified_fraud_complaint", "reversal")
        worker.kill()
        worker = fleet.add()
        await topics.decided(OTHER, "owner_banned", "reversal")
        await topics.send(application | {"application_id": "a2", "updated_ms": begun_ms + 91 * MINUTE})
        await topics.pass_time(begun_ms + 120 * MINUTE)
        async with deadline("all is read"):
            while worker.lag() != 0 or worker.get("/readyz")[0] != 200:
                await asyncio.sleep(0.2)
        assert worker.metric("callwarden_owners_lag_records") == 0
        assert worker.metric("callwarden_owners_unreadable_seconds") == 0
        assert worker.terminate() == 0
    assert set((await topics.kinds()).values()) == {1}, "each is decided once"
    assert len(await topics.kinds()) == 5
    own, other = [[entry.from_ms - begun_ms for entry in await topics.bans_taken(number)] for number in NUMBERS]
    assert own == [5 * MINUTE, 65 * MINUTE]
    assert len(other) == 2, "the ban and its lifting, once"
    # At the watermark, or as in the partition of the ban if no clock was known yet after a restart.
    assert other[0] in (5 * MINUTE, 20 * MINUTE)
    assert other[1] in (65 * MINUTE, 80 * MINUTE)
    ban, lifting = [json.loads(value) for value in await topics.values("owners", (0,)) if value != b"not a ban"]
    assert lifting == ban | {"lifted_ms": begun_ms + 61 * MINUTE}
    assert (ban["owner_id"], ban["tenant_id"], ban["clause"], ban["tier"]) == ("o", BAD, 1, "severe")
    said = await asyncio.to_thread(callwarden, topics.environment, "audit")
    assert "missing" not in said
