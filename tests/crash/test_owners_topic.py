"""The topic of owners: values of other programs, damage and lost access stop no partition."""

import asyncio
import json
import random
from collections.abc import Sequence

import pytest

from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.owners import OWNERS, PARTITIONS, THE_END, audited, bans_taken, check, scenario, world_of
from crash.scenarios import MINUTE, NOON, play, until
from schemas.owners import OwnerBan
from streams.kafka.api import TP, PermanentError


def test_values_of_other_programs_are_skipped_and_stop_nothing() -> None:
    rng = random.Random(1)
    world = world_of(1, scenario(rng, early=True))
    good = OwnerBan("o1", "elsewhere", "cwe-1", 1, "severe", NOON + 6 * MINUTE)
    plain_ban = {"owner_id": "o1", "tenant_id": "x", "enforcement_id": "cwe-2", "clause": 1, "tier": "severe"}
    strange = [
        Record(b"cwe-2", None),
        Record(b"cwe-2", b"{"),
        Record(b"cwe-2", b"\xff\xfe"),
        Record(b"cwe-2", json.dumps(plain_ban).encode()),
        Record(b"another", json.dumps(plain_ban | {"decided_ms": NOON}).encode()),
        Record(None, json.dumps(plain_ban | {"decided_ms": NOON}).encode()),
        Record(b"cwe-2", json.dumps(plain_ban | {"decided_ms": NOON, "lifted_ms": NOON - 1}).encode()),
        Record(b"cwe-2", json.dumps(plain_ban | {"decided_ms": NOON, "clause": 8}).encode()),
        Record(b"cwe-2", b'{"deep": ' + b"[" * 500 + b"]" * 500 + b"}"),
        Record(b"cwe-2", b"x" * 100_000),
        Record(b"cwe-2", b"", fault="bad_header: as a client says it"),
    ]

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + 7 * MINUTE)
        value = json.dumps({field: getattr(good, field) for field in OwnerBan.__struct_fields__}).encode()
        world.broker.append(OWNERS, *strange, Record(b"cwe-1", value), Record(b"cwe-1", value))
        await until(world, THE_END)
        check(world)
        await audited(world)
        assert worker.telemetry.registry.get_sample_value("callwarden_owner_bans_rejected_total") == len(strange)
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.not_ready == []

    logs = play(world, go)
    assert sum(line["event"].startswith("skipped a value that is no ban") for line in logs) == len(strange)
    assert [entry.ban.enforcement_id for entry in bans_taken(world, 0)].count("cwe-1") == 1, "a valid foreign ban"


def test_a_topic_that_is_damaged_or_created_again_stops_nothing() -> None:
    world = world_of(1, scenario(random.Random(3), early=True))

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, NOON + 40 * MINUTE)
        log = world.broker.logs[OWNERS]
        world.broker.append(OWNERS, Record(b"x", b"damaged"), Record(b"y", b"damaged"))
        world.broker.damaged[OWNERS] = (log.end - 2, log.end - 1)
        await until(world, NOON + 60 * MINUTE)
        assert len(worker.owned()) == PARTITIONS
        del world.broker.damaged[OWNERS]
        world.broker.logs[OWNERS] = Log()
        await until(world, THE_END)
        check(world)
        assert len(worker.owned()) == PARTITIONS

    logs = play(world, go)
    said = {line["event"] for line in logs}
    assert "skipped damaged records of the topic of owners" in said
    assert "the topic of owners was created again; it is read from its start" in said


def test_a_worker_that_cannot_read_the_topic_decides_on_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    world, shut = world_of(1, scenario(random.Random(5), early=True)), [True]
    ends = MemoryCluster.ends

    async def shut_ends(self: MemoryCluster, tps: Sequence[TP]) -> dict[TP, int]:
        if shut[0] and list(tps) == [OWNERS]:
            raise PermanentError("not authorized to access callwarden.owners")
        return await ends(self, tps)

    monkeypatch.setattr(MemoryCluster, "ends", shut_ends)

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await asyncio.sleep(60)
        assert worker.consumer_loop is not None
        (why,) = worker.consumer_loop.not_ready
        assert why.startswith("callwarden.owners cannot be read since 2026-03-02T12:0")
        assert "not authorized" in why
        sample = worker.telemetry.registry.get_sample_value
        assert (sample("callwarden_owners_unreadable_seconds") or 0) > 50
        assert len(worker.owned()) == PARTITIONS
        shut[0] = False
        await asyncio.sleep(5)
        assert worker.consumer_loop.not_ready == []
        assert sample("callwarden_owners_unreadable_seconds") == 0
        await until(world, THE_END)
        check(world)

    play(world, go)
