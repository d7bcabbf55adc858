"""The answer says when what was sent is decided: never outside of what it says, and nothing while it is not known."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from ingest_service import JSON, NAMES, PARTITIONS, MemoryTopics, call, serving

from helpers.patience import PATIENCE_S
from monitor.text.timestamps import parse_moment
from streams.ingest.http.answer import DecidedBetween
from streams.ingest.http.decision_times import decided_between
from streams.kafka.api import TP, FetchedBatch, PermanentError
from streams.kafka.outputs import OutputRecord
from streams.topics.reported_waits import STALE_MS, ReportedWaits
from streams.topics.transaction_records import DecisionDelays, encode_tick

NOW, MINUTE, HOUR = 1_772_452_800_000, 60_000, 3_600_000
DELAYS = DecisionDelays(10 * MINUTE, 30_000, 4 * HOUR)
HERE = frozenset({0})


def between(newest_ms: int = NOW, partitions: frozenset[int] = HERE, **changed: object) -> DecidedBetween | None:
    delays = {0: msgspec.structs.replace(DELAYS, **changed), 1: DELAYS}
    return decided_between(ReportedWaits(NOW, {}, delays), newest_ms, partitions, NOW)


def test_a_request_is_decided_after_the_lateness_and_before_the_end_of_the_grace() -> None:
    found = between()
    assert found is not None
    assert parse_moment(found.earliest) == NOW + 1 + 10 * MINUTE
    assert found.latest is not None
    assert parse_moment(found.latest) == NOW + 1 + 4 * HOUR + 10 * MINUTE + 90_000
    assert found.why == (
        "records may come 10m late (lateness); if no more calls arrive in any partition, decisions wait 4h longer for "
        "calls that may be missing (outage grace)"
    )
    assert found.command == "callwarden end-outage --reason WHY"


def test_an_old_record_waits_for_the_calls_of_the_present() -> None:
    """It is taken as of the late line of its topic, whose clock may be that of now."""
    found = between(NOW - 24 * HOUR)
    assert found is not None
    assert parse_moment(found.earliest) == NOW
    assert found.latest is not None
    assert parse_moment(found.latest) > NOW + 4 * HOUR


def test_what_is_not_known_is_not_said() -> None:
    assert between(partitions=frozenset({0, 2})) is None, "no worker has partition 2"
    assert decided_between(ReportedWaits(), NOW, HERE, NOW) is None
    assert decided_between(ReportedWaits(NOW, {}, {0: DELAYS}), NOW, HERE, NOW + STALE_MS + 1) is None
    found = between(held=(0,))
    assert found is not None
    assert (found.latest, found.command) == (None, "callwarden topics check")
    found = between(held=(1,))
    assert found is not None
    assert found.latest is not None, "another partition is held back"


@pytest.mark.parametrize(
    ("changed", "said", "command"),
    [
        ({"no_calls": (0,)}, "no calls arrive in any partition, and", True),
        ({"outage_grace_ms": 1_000}, "records may come 10m late (lateness)", False),
    ],
)
def test_the_command_is_given_where_it_helps(changed: dict[str, object], said: str, command: bool) -> None:
    found = between(**changed)
    assert found is not None
    assert said in found.why
    assert (found.command is not None) is command


def with_a_worker() -> MemoryTopics:
    """Topics to whose clock log a worker of all partitions has just written a tick."""
    topics, clock = MemoryTopics(), NAMES.output("clock")
    topics.counts[clock] = PARTITIONS
    topics.logs |= {TP(clock, number): [] for number in range(PARTITIONS)}
    waits: dict[int, list[str]] = {number: [] for number in range(PARTITIONS)}
    topics.write([OutputRecord(clock, 0, b"0", encode_tick(0, waits, DELAYS))])
    return topics


async def test_the_answer_has_the_time_once_it_is_known_and_a_repeated_one_has_the_same(tmp_path: Path) -> None:
    topics, key = with_a_worker(), JSON | {"Idempotency-Key": "k-1"}
    async with serving(tmp_path, topics) as service:
        now_ms = time.time_ns() // 1_000_000
        record = {"type": "complaint", "complaint_id": "k", "tenant_id": "acme", "category": "fraud"}
        sent = [record | {"status": "verified", "reported_ms": now_ms, "updated_ms": now_ms}]
        async with asyncio.timeout(PATIENCE_S):
            while "decided" not in (answer := (await service.post(sent))[1]):
                await asyncio.sleep(0.01)
        assert parse_moment(answer["decided"]["earliest"]) == now_ms + 1 + 10 * MINUTE
        first = await service.post([call(2)], key)
        assert set(first[1]["decided"]) == {"earliest", "latest", "why", "command"}
        assert "decided" not in (await service.post([{}]))[1], "nothing was accepted"
    async with serving(tmp_path, topics) as service:
        assert await service.post([call(2)], key) == first, "also from another service"
        document = (await service.ask("GET", "/openapi.json", {}))[2]
    schema = document["components"]["schemas"]["RecordsAnswer"]
    assert "decided" in schema["properties"]
    assert "decided" not in schema["required"]


async def test_a_clock_topic_that_cannot_be_read_costs_only_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = with_a_worker()
    read, rejected = topics.read, asyncio.Event()

    def unreadable(tp: TP, start: int, stop: int) -> AsyncIterator[FetchedBatch]:
        if tp.topic == NAMES.output("clock"):
            rejected.set()
            raise PermanentError("not allowed")
        return read(tp, start, stop)

    monkeypatch.setattr(topics, "read", unreadable)
    async with serving(tmp_path, topics) as service:
        async with asyncio.timeout(PATIENCE_S):
            await rejected.wait()
        assert await service.post([call(1)]) == (202, {"received": 1, "accepted": 1, "rejected": 0, "rejections": []})
