"""Partitions are added to one input of running workers on a real broker, and the runbook's procedure recovers."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from deadlines import deadline
from worker_judge import read_all
from worker_platform import Platform
from worker_platform import platform as platform  # a fixture
from worker_processes import PARTITIONS, Worker, callwarden, fleet_of, wait_for
from worker_traffic import Sender, Sent, sender_to

from monitor.partition.partitioner import partition_of
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

_GROWN, _MINUTE = 12, 60_000
_TENANTS = [f"t{number}" for number in range(30)]
_POLICY = {
    "id": "added",
    "version": "1",
    "extends": "access-rules",
    "defaults": {"lateness": "30m"},
    "rules": [
        {
            "id": "short",
            "behaviour": "blind_calling",
            "metric": "short_call_ratio",
            "above": 0.5,
            "window": "5m",
            "step": "5m",
            "min_denominator": 3,
        }
    ],
    "escalations": [],
}


def calls(end_ms: int, name: str, count: int, partitions: int) -> list[Sent]:
    """Short calls of every tenant, partitioned as by a producer that sees that many partitions."""
    sent = []
    for tenant in _TENANTS:
        for each in range(count):
            record: dict[str, object] = {"type": "cdr", "call_id": f"{name}-{each}", "tenant_id": tenant}
            record["direction"] = "outbound"
            record |= {"caller": "+8619000000001", "callee": "+8613800000001", "start_ms": end_ms - 3_000}
            record |= {"answer_ms": end_ms - 2_000, "end_ms": end_ms, "outcome": "answered"}
            key = tenant.encode()
            sent.append(Sent(0, partition_of(key, partitions, "murmur2"), key, json.dumps(record).encode(), ""))
    return sent


def ready(worker: Worker) -> str:
    """The readiness page of the worker."""
    return worker.get("/readyz")[1]


async def decisions(address: str, names: TopicNames, partitions: int) -> list[str]:
    """The ids of the committed decisions."""
    topic = names.output("enforcement")
    logs = await read_all(address, [topic], partitions)
    return [json.loads(record.value or b"")["id"] for record in logs.of(topic)]


async def test_partitions_added_to_an_input_are_noticed_and_the_runbook_restores_every_decision(
    platform: Platform, tmp_path: Path
) -> None:
    address, names, new = platform.node.address, platform.names, TopicNames("cw12.", "cw12.")
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(_POLICY), "utf-8")
    variables = {**platform.environment, "CALLWARDEN_POLICY": str(policy), "CALLWARDEN_OUTAGE_GRACE": "30d"}
    moved = {"CALLWARDEN_INPUT_PREFIX": new.input_prefix, "CALLWARDEN_OUTPUT_PREFIX": new.output_prefix}
    moved = {**variables, **moved, "CALLWARDEN_APPLICATION_ID": "cw12", "CALLWARDEN_PARTITIONS": str(_GROWN)}
    base_ms = time.time_ns() // 1_000_000 // (5 * _MINUTE) * 5 * _MINUTE - 180 * _MINUTE
    first, half = calls(base_ms, "first", 3, PARTITIONS), calls(base_ms + 61 * _MINUTE, "half", 2, PARTITIONS)
    rest, last = calls(base_ms + 62 * _MINUTE, "rest", 2, _GROWN), calls(base_ms + 120 * _MINUTE, "last", 1, _GROWN)
    homes = [(call.partition, partition_of(call.key, PARTITIONS, "murmur2")) for call in rest]
    unread = sum(at >= PARTITIONS for at, _ in homes)
    rejected = sum(at < PARTITIONS and at != home for at, home in homes)
    assert unread
    assert rejected

    async def run(*words: str, environment: dict[str, str] = variables, status: int = 0) -> str:
        return await asyncio.to_thread(callwarden, environment, *words, status=status)

    async def until(holds: Any, what: str) -> None:
        await asyncio.to_thread(wait_for, holds, what)

    with fleet_of(tmp_path, variables) as fleet:
        worker = fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(address) as producer:
            await Sender(producer, names).send([*first, *half])
            await until(lambda: worker.sum("callwarden_decisions_total") == len(_TENANTS), "the first hour is decided")
            admin = AIOKafkaAdminClient(bootstrap_servers=address)
            await admin.start()
            try:
                await admin.create_partitions({names.inputs[0]: NewPartitions(_GROWN)})
            finally:
                await admin.close()
            await until(lambda: "in.cdr has 12 partitions, the state was made with 8" in ready(worker), "it is noticed")
            assert worker.metric("callwarden_topic_faults") == 1
            assert "callwarden state move" in await run("topics", "check", status=1)
        async with sender_to(address) as producer:  # a new producer sees the new partitions
            await Sender(producer, names).send(rest)
            await until(lambda: worker.sum("callwarden_rejected_total") == rejected, "the others continue")
        assert worker.terminate() == 0
        worker = fleet.add()
        await until(lambda: worker.owned() == set(range(PARTITIONS)), "a worker that starts now works on them, too")
        said = await run("dead-letter", "retry", "--error", "wrong_partition", "--yes")
        assert f"{rejected} written back" in said
        await until(lambda: worker.lag() == 0, "all is read")
        await asyncio.sleep(2)
        assert worker.terminate() == 0
        assert worker.said_else() == []
    await run("topics", "create", "--replication-factor", "1", environment=moved)
    await run("state", "export", "--out", str(tmp_path / "before.zst"))
    options = ["--to-input-prefix", "cw12.", "--to-output-prefix", "cw12.", "--to-application-id", "cw12"]
    said = await run("state", "move", *options)
    assert f"carried over: {unread} records of partitions 8 and above" in said
    (tmp_path / "new").mkdir()
    judged = tmp_path / "all.jsonl"
    everything = [*first, *half, *rest, *last]
    judged.write_bytes(b"\n".join(call.value or b"" for call in everything) + b"\n")
    await run("replay", str(judged), "--policy", str(policy), "--out", str(tmp_path / "replayed"))
    lines = (tmp_path / "replayed" / "enforcement.jsonl").read_text("utf-8").splitlines()
    # Only the replay decides the window of the last calls: live, more calls may arrive.
    expected = sorted(e["id"] for e in map(json.loads, lines) if e["data"]["decided_ms"] < base_ms + 90 * _MINUTE)
    assert len(expected) == 2 * len(_TENANTS)
    with fleet_of(tmp_path / "new", moved) as fleet:
        worker = fleet.add()
        async with sender_to(address) as producer:
            await Sender(producer, new).send(last)
        before = await decisions(address, names, PARTITIONS)
        since: list[str] = []
        async with deadline("the moved state decides what is left"):
            while len(before) + len(since) < len(expected):
                since = await decisions(address, new, _GROWN)
                await asyncio.sleep(1)
        await asyncio.to_thread(wait_for, lambda: worker.get("/readyz")[0] == 200, "it is ready")
        assert worker.sum("callwarden_late_total") == 0
    assert len(before) >= len(_TENANTS)
    assert sorted(before + since) == expected
