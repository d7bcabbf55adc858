"""Records that a real broker accepts from a hostile producer, and a damaged disk: neither stops a partition."""

import asyncio
import json
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord
from broker_clusters import cluster_at, make_topic, produce
from deadlines import deadline
from rawkafka.batches import SNAPPY, ZSTD, batch, message, record
from rawkafka.hostile import taken
from rawkafka.produce import send
from worker_judge import read_all
from worker_platform import Platform
from worker_processes import PARTITIONS, Worker, callwarden, fleet_of, wait_for
from worker_traffic import likely_ban, tenants_of

from helpers.patience import WAIT
from streams.dev.kafka_node import DevKafka
from streams.kafka.api import TP

pytestmark = pytest.mark.services

RECORDS = [record(b"k", b"v%d" % n, delta=n) for n in range(3)]

REFUSED = {
    "garbage": batch(RECORDS, payload=b"garbage" * 9),
    "garbage for zstd": batch(RECORDS, codec=ZSTD, payload=b"garbage" * 9),
    "an unknown codec": batch(RECORDS, codec=6, payload=b"garbage" * 9),
    "lies about the count": batch(RECORDS, count=9),
    "a wrong checksum": batch(RECORDS, wrong_checksum=True),
    "format 1": message(1, b"k", b"v"),
    "format 3": batch(RECORDS, magic=3),
}
"""Batches that a broker rejects; a damaged disk may still hold them."""


async def test_batches_of_a_hostile_producer_are_read_around(address: str) -> None:
    tp = TP(await make_topic(address), 0)
    expected: list[str] = []
    for what, data in taken().items():
        assert await send(address, tp, data) == "", what
        await produce(address, tp, [b"good"])
        expected += [what.partition(",")[0], "good"]
    for what, data in REFUSED.items():
        assert await send(address, tp, data), what
    async with cluster_at(address) as cluster:
        end = (await cluster.ends([tp]))[tp]
        rows = []
        async for fetched in cluster.read(tp, 0, end):
            for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
                bad = fetched.unreadable.get(offset)
                rows.append(bad.reason.partition(":")[0] if bad else (value or b"").decode())
        assert rows == expected
        whole = [one async for records in cluster.records(tp, 0, end) for one in records]
        assert [bool(one.unreadable) for one in whole] == [word != "good" for word in expected]
        assert (whole[0].value, whole[0].headers) == (b"value", (("trace\\xff", b"x"),))


def overwrite(segment: Path, place: int, data: bytes) -> None:
    """Change stored bytes on the disk; a broker sends stored bytes without checking them."""
    with segment.open("r+b") as file:
        file.seek(place)
        file.write(data)


def places(segment: Path) -> list[int]:
    """The start of each batch."""
    stored, found = segment.read_bytes(), [0]
    while found[-1] < len(stored):
        found.append(found[-1] + 12 + int.from_bytes(stored[found[-1] + 8 : found[-1] + 12]))
    return found[:-1]


async def test_damaged_batches_on_a_disk_are_read_around(jars: Path, tmp_path: Path) -> None:
    payload = sum(map(len, RECORDS))
    held = {
        "malformed_batch": batch(RECORDS, base=0, payload=b"\xff" * payload),
        "undecodable_batch": batch(RECORDS, base=4, codec=SNAPPY, payload=b"\xff" * payload),
        "undecodable_batch: again": batch(RECORDS, base=8, codec=7, payload=b"".join(RECORDS)),
        "old_format": message(0, None, b"x" * (61 + payload - 26), offset=14),
    }
    with DevKafka(tmp_path, jars) as node:
        tp = TP(await make_topic(node.address), 0)
        for _ in held:
            # With current times; otherwise the broker would begin a new segment with the next batch.
            assert await send(node.address, tp, batch(RECORDS, at_ms=round(time.time() * 1000))) == ""
            await produce(node.address, tp, [b"good"])
        segment = node.data / "storage" / f"{tp.topic}-0" / "00000000000000000000.log"
        for place, data in zip(places(segment)[::2], held.values(), strict=True):
            overwrite(segment, place, data)
        async with cluster_at(node.address) as cluster:
            rows = []
            async for fetched in cluster.read(tp, 0, 16):
                for offset, value in zip(fetched.offsets.tolist(), fetched.values, strict=True):
                    bad = fetched.unreadable.get(offset)
                    rows.append((offset, bad.reason.partition(":")[0] if bad else (value or b"").decode()))
        words = [(4 * n + 2, word.partition(":")[0]) for n, word in enumerate(held)]
        assert rows == sorted([*words, *((4 * n + 3, "good") for n in range(len(held)))])


def complaint(tenant: str, at_ms: int) -> bytes:
    record = {"type": "complaint", "complaint_id": f"c-{tenant}", "tenant_id": tenant, "category": "fraud"}
    return json.dumps(record | {"status": "verified", "reported_ms": at_ms, "updated_ms": at_ms}).encode()


async def test_a_worker_continues_behind_hostile_batches_and_after_a_command_behind_a_damaged_disk(
    platform: Platform, tmp_path: Path
) -> None:
    node, names, number = platform.node, platform.names, 3
    environment = platform.environment | {"CALLWARDEN_OUTAGE_GRACE": "1s"}
    first, second, lost, last = tenants_of(number, 4)
    complaints = TP(names.input_prefix + "complaints", number)

    async def decided_of(*tenants: str) -> None:
        """Wait until there is a decision on each of these tenants, and on no other."""
        wanted, found = {tenant.encode() for tenant in tenants}, set[bytes]()
        async with deadline(f"a decision on each of {tenants}"):
            while not found >= wanted:
                events = (await read_all(node.address, [names.output("enforcement")], PARTITIONS)).of("out.enforcement")
                found = {event.key for event in events}
                await asyncio.sleep(0.5)
        assert found == wanted

    def stopped(worker: Worker) -> bool:
        return f"partition {number}: stopped" in worker.get("/readyz")[1]

    with fleet_of(tmp_path, environment) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with AIOKafkaProducer(bootstrap_servers=node.address) as producer:
            for tenant in (first, second):
                sent = likely_ban(tenant, round(time.time() * 1000))
                await producer.send_and_wait("in.findings", sent.value, key=sent.key, partition=sent.partition)
                for topic in ("findings", "cdr"):
                    for what, data in taken().items():
                        assert await send(node.address, TP(f"in.{topic}", number), data) == "", what
        await decided_of(first, second)
        expected = sorted(what.partition(",")[0] for what in taken() for _ in range(4))
        letters: list[ConsumerRecord] = []
        async with deadline("every batch is a dead letter"):  # they may wait for each other longer than the decisions
            while len(letters) < len(expected):
                letters = (await read_all(node.address, [names.output("dead-letter")], PARTITIONS)).of(
                    "out.dead-letter"
                )
                await asyncio.sleep(0.5)
        reasons = [dict(letter.headers)["reason"].decode().partition(":")[0] for letter in letters]
        assert sorted(reasons) == expected
        assert worker.terminate() == 0
        assert isinstance(node, DevKafka)
        (segment,) = (node.data / "storage" / f"{complaints.topic}-{number}").glob("*.log")
        async with AIOKafkaProducer(bootstrap_servers=node.address) as producer:
            for tenant in (lost, last):
                value = complaint(tenant, round(time.time() * 1000))
                await producer.send_and_wait(complaints.topic, value, key=tenant.encode(), partition=number)
        at = segment.read_bytes().index(lost.encode())
        well = segment.read_bytes()[at : at + 1]
        overwrite(segment, at, b"?")
        worker = fleet.add()
        await asyncio.to_thread(wait_for, lambda: stopped(worker), "the partition is stopped")
        printed = f"callwarden skip --topic {complaints.topic} --partition {number} --offset 0 --reason WHY"
        assert printed in worker.get("/readyz")[1]
        said = callwarden(environment, *printed.split()[1:], "--wait", WAIT)
        assert said.startswith(f"taken: {complaints.topic}-{number} offset 0")
        await decided_of(first, second, last)
        for place in (b"?", well):
            overwrite(segment, at, place)
            assert "no decision was lost" in callwarden(environment, "audit")
        assert worker.terminate() == 0
