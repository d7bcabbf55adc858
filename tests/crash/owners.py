"""Scenarios in which owners and their tenants are banned, a world of two partitions that plays them, and its checks."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from crash import judge
from crash.log import Record
from crash.scenarios import MINUTE, NOON, POLICY, SECOND, call, operator_of
from crash.traffic import NAMES, TOPIC_OF, Arrival
from crash.world import World
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.journal import OwnerBanTaken
from monitor.partition.partitioner import partition_of
from schemas.owners import OwnerBan
from streams.audit.partition import AuditContext
from streams.audit.run import audit
from streams.kafka.api import TP
from streams.topics.owners_topic import decode_owner_ban
from streams.topics.transaction_records import decode_journal_entry, is_tick

OWNERS = NAMES.owners
PARTITIONS = 2
TENANTS = [f"t{n}" for n in range(8)]  # both partitions have some
LAST = NOON + 120 * MINUTE
THE_END = LAST + 15 * MINUTE
Line = tuple[int, dict[str, Any]]


def tenant(at_ms: int, tenant_id: str, owner_id: str | None) -> Line:
    record = {"type": "tenant", "tenant_id": tenant_id, "declared_businesses": [], "numbers": [], "updated_ms": at_ms}
    return at_ms, record | ({} if owner_id is None else {"owner_id": owner_id})


def complaint(at_ms: int, tenant_id: str, name: str, status: str = "verified") -> Line:
    record = {"type": "complaint", "complaint_id": name, "tenant_id": tenant_id, "category": "fraud"}
    return at_ms, record | {"status": status, "reported_ms": NOON, "updated_ms": at_ms}


def application(at_ms: int, tenant_id: str, name: str) -> Line:
    record = {"type": "application", "application_id": name, "tenant_id": tenant_id, "updated_ms": at_ms}
    return at_ms, record | {"declared_business": "customer service"}


def last_call(at_ms: int, tenant_id: str) -> Line:
    record = json.loads(call(at_ms, f"last-{tenant_id}").record.value or b"")
    return at_ms, record | {"tenant_id": tenant_id}


def scenario(rng: random.Random, early: bool) -> list[Line]:
    """Two owners, bans and liftings in any order, applications, and tenants that change their owner.

    ``early``: each decision precedes its effect by so much that all partitions have it in time.
    """

    def minute(first: int, last: int) -> int:
        at = rng.randrange(first, last)
        return NOON + (at // 5 * 5 + 1 if early else at) * MINUTE + rng.randrange(SECOND if early else MINUTE)

    lines = [tenant(NOON + MINUTE + n, name, rng.choice(("o1", "o2", "o2"))) for n, name in enumerate(TENANTS)]
    for n in range(6):
        name, begins = rng.choice(TENANTS), minute(3, 70)
        lines.append(complaint(begins, name, f"k{n}"))
        if rng.random() < 0.7:
            ends = minute((begins - NOON) // MINUTE + 1, (begins - NOON) // MINUTE + rng.choice((3, 8, 40)))
            lines.append(complaint(max(begins + 1, ends), name, f"k{n}", "dismissed"))
    lines += [application(minute(10, 110), rng.choice(TENANTS), f"a{n}") for n in range(12)]
    lines += [tenant(minute(20, 100), rng.choice(TENANTS), rng.choice(("o1", "o2", None))) for _ in range(4)]
    return sorted([*lines, *(last_call(LAST, name) for name in TENANTS)], key=lambda line: line[0])


def arrival(line: Line) -> Arrival:
    at_ms, record = line
    key = str(record["tenant_id"]).encode()
    tp = TP(NAMES.input_prefix + TOPIC_OF[record["type"]], partition_of(key, PARTITIONS, "murmur2"))
    return Arrival(at_ms + SECOND, tp, Record(key, json.dumps(record).encode()))


def world_of(seed: int, lines: Sequence[Line], speed: float = 20.0) -> World:
    print("seed", seed)
    live = DecidingSettings(idle_after_ms=int(2 * MINUTE / speed), outage_grace_ms=0)
    world = World(random.Random(seed), POLICY, live, PARTITIONS, NOON, speed)
    world.produce(map(arrival, lines))
    return world


def events(world: World) -> list[dict[str, Any]]:
    logs = [world.broker.logs[TP(NAMES.output("enforcement"), number)] for number in range(PARTITIONS)]
    return [json.loads(entry.record.value or b"") for log in logs for entry in log.committed(0) if entry.record]


def bans_taken(world: World, number: int) -> list[OwnerBanTaken]:
    values = [
        entry.record.value or b""
        for entry in world.broker.logs[TP(NAMES.output("clock"), number)].committed(0)
        if entry.record is not None
    ]
    entries = [decode_journal_entry(value)[1] for value in values if not is_tick(value)]
    return [entry for entry in entries if isinstance(entry, OwnerBanTaken)]


def values(world: World) -> list[OwnerBan]:
    found = [decode_owner_ban(*one.record[:2]) for one in world.broker.logs[OWNERS].committed(0) if one.record]
    return [ban for ban in found if not isinstance(ban, str)]


def check(world: World) -> None:
    """The live events are those of a replay by the journal, and each value was taken once."""
    assert list(judge.wrong(world.broker, POLICY, world.live, PARTITIONS)) == []
    for number in range(PARTITIONS):
        taken = Counter((entry.ban.enforcement_id, entry.ban.lifted_ms) for entry in bans_taken(world, number))
        assert [one for one, times in taken.items() if times > 1] == []


async def audited(world: World) -> None:
    report = await audit(AuditContext(operator_of(world), NAMES, POLICY, b"secret", world.live))
    assert [one.unchecked for one in report.partitions] == [[]] * PARTITIONS
    assert report.differences == []
