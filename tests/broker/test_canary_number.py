"""A telephone number and a complainant in the input appear in no log line and on no page of a worker.

Checked at the most verbose log level: with poison records, an unexpected error with both in its frames and message,
late calls, duplicates, dead letters, and a record that an operator skips.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from broker_clusters import cluster_at
from worker_processes import MAIN, PARTITIONS, Worker, callwarden, fleet_of, wait_for
from worker_traffic import make_topics

from helpers.patience import WAIT
from monitor.partition.partitioner import partition_of
from streams.kafka.api import TP, Cluster
from streams.kafka.topic_names import TopicNames

pytestmark = pytest.mark.services

NUMBER = "13912345678"
COMPLAINANT = "canary-complainant-7391"
SECRETS = (NUMBER, NUMBER[2:], "139 1234 5678", COMPLAINANT)
TENANT = "acme"
NUMBER_OF = partition_of(TENANT.encode(), PARTITIONS, "murmur2")

# `callwarden` with a fault: the agent fails when it counts a complaint of that id, and quotes it.
FAULTY = f"""
from monitor.partition.processing.record_intake import RecordIntake
feed = RecordIntake.feed

def faulty(self, shard, position, rows):
    for offset, value in zip(rows.offsets.tolist(), rows.values):
        if value and b'"stops"' in value and offset not in position.skips:
            complainant, number = {COMPLAINANT!r}, {NUMBER!r}
            raise ValueError(f"cannot count {{complainant}} of {{number}}: {{value!r}}")
    return feed(self, shard, position, rows)

RecordIntake.feed = faulty
{MAIN}
"""


def complaint(name: str, now_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "complaint", "tenant_id": TENANT, "complaint_id": name, "category": "fraud", "status": "verified",
        "channel": f"call {NUMBER}", "complainant": COMPLAINANT, "caller": NUMBER, "reported_ms": now_ms,
        "updated_ms": now_ms, **more,
    }  # fmt: skip


def call(name: str, end_ms: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "cdr", "tenant_id": TENANT, "call_id": name, "direction": "outbound", "caller": f"+86{NUMBER}",
        "callee": NUMBER, "start_ms": end_ms - 2_000, "answer_ms": end_ms - 1_000, "end_ms": end_ms,
        "outcome": "answered", "source": f"{COMPLAINANT} 139 1234 5678", **more,
    }  # fmt: skip


def records(now_ms: int) -> Iterator[tuple[str, bytes, bytes]]:
    """The topic, key and value of each record."""

    def wrong() -> Iterator[tuple[str, dict[str, Any]]]:
        yield "complaints", complaint("q1", now_ms)
        yield "complaints", complaint("q2", now_ms, status=NUMBER)
        yield "complaints", complaint(NUMBER, now_ms, complainant=[COMPLAINANT])
        yield "cdr", call("c1", now_ms)
        yield "cdr", call("c1", now_ms)
        yield "cdr", call("late", now_ms - 3_600_000)
        yield "cdr", call("c2", now_ms, outcome=COMPLAINANT)
        yield "cdr", call("c3", now_ms, callee=NUMBER * 9)
        yield "cdr", call("c4", now_ms + 3_600_000)

    for topic, record in wrong():
        yield topic, TENANT.encode(), json.dumps(record).encode()
    yield "cdr", NUMBER.encode(), json.dumps(call("c5", now_ms)).encode()
    yield "complaints", TENANT.encode(), f'{{"complainant": "{COMPLAINANT}", {NUMBER}'.encode()
    yield "complaints", TENANT.encode(), json.dumps(complaint("stops", now_ms)).encode()


@pytest.mark.parametrize("form", ["json", "text"])
async def test_no_log_line_and_no_page_reveals_a_number_or_a_complainant(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr("worker_processes.FORM", {"json": ["--json-logs"], "text": []}[form])
    own = uuid.uuid4().hex[:8]
    names = TopicNames(f"{own}.", f"{own}.")
    variables = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": own,
        "CALLWARDEN_IDLE_AFTER": "1s",
        "CALLWARDEN_OUTAGE_GRACE": "1s",
        "CALLWARDEN_LOG_LEVEL": "debug",
        "CALLWARDEN_LOG_FORMAT": form,
    }
    await asyncio.to_thread(make_topics, variables)
    with fleet_of(tmp_path, variables) as fleet:
        worker = fleet.add(main=FAULTY)
        await asyncio.to_thread(fleet.settle)
        async with AIOKafkaProducer(bootstrap_servers=address) as producer:
            for topic, key, value in records(time.time_ns() // 1_000_000):
                await producer.send_and_wait(names.input_prefix + topic, value, key, NUMBER_OF)
        pages = await asyncio.to_thread(until_it_stands_still, worker)
        async with cluster_at(address) as cluster:
            stops = (await cluster.ends([TP(f"{own}.complaints", NUMBER_OF)]))[TP(f"{own}.complaints", NUMBER_OF)] - 1
            await asyncio.to_thread(skip, variables, f"{own}.complaints", stops)
            kept = [value for name in ("control", "clock") for value in await values(cluster, names.output(name))]
        counted = ("callwarden_late_total", "callwarden_duplicates_total")
        await asyncio.to_thread(wait_for, lambda: all(worker.metric(name) for name in counted), "late, twice")
        pages += "".join(worker.get(page)[1] for page in ("/metrics", "/readyz", "/healthz"))
        assert await asyncio.to_thread(worker.terminate) == 0
        log = worker.log.read_text("utf-8")
    for event in ("partition stopped by an unexpected error", "command taken", "ValueError: (not shown"):
        assert event in log
    assert "callwarden_rejected_total" in pages
    assert sum(b"is wrong" in value for value in kept) == 2, "the command, and the note of it"
    pages += b"".join(kept).decode()
    for secret in SECRETS:
        assert secret not in log
        assert secret not in pages


async def values(cluster: Cluster, topic: str) -> list[bytes]:
    tp = TP(topic, NUMBER_OF)
    start, end = (await cluster.starts([tp]))[tp], (await cluster.ends([tp]))[tp]
    return [value or b"" async for batch in cluster.read(tp, start, end) for value in batch.values]


def until_it_stands_still(worker: Worker) -> str:
    wait_for(lambda: worker.owned("stopped") == {NUMBER_OF}, "the record stops its partition")
    return worker.get("/readyz")[1] + worker.get("/metrics")[1]


def skip(variables: dict[str, str], topic: str, offset: int) -> None:
    at = ("--topic", topic, "--partition", str(NUMBER_OF), "--offset", str(offset))
    callwarden(variables, "skip", *at, "--reason", f"{NUMBER} is wrong", "--wait", WAIT)
