"""Bans follow an owner through several partitions while workers are killed: live, audit and files agree."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from crash import judge
from crash.log import Log, Record
from crash.memory import MemoryCluster
from crash.scenarios import MINUTE, NOON, POLICY, SECOND, WRITTEN, call, operator_of, play, until
from crash.traffic import NAMES, TOPIC_OF, Arrival
from crash.virtual import Process
from crash.world import OUTPUTS, MovedWorld, World
from helpers.thorough import thorough
from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.journal import OwnerBanTaken
from monitor.partition.key_check import partition_of
from monitor.partition.task import StreamTask
from oracle.product import run
from schemas import codec
from schemas.owners import OwnerBan
from streams.audit.partition import AuditContext
from streams.audit.run import audit
from streams.kafka.api import TP, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import TopicReplayOptions, replay_topics
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move
from streams.topics.owners_topic import decode_owner_ban
from streams.topics.transaction_records import decode_journal_entry, is_tick
from streams.worker.running.running_partition import RunningPartition
from streams.worker.running.transaction import Transaction

OWNERS = NAMES.owners
PARTITIONS = 2
TENANTS = [f"t{n}" for n in range(8)]  # both partitions have some
LAST = NOON + 120 * MINUTE
THE_END = LAST + 15 * MINUTE
POINTS = ("commit.begin!", "commit.produce!", "commit.end?", "commit.end!", "read!", "read?", "ends!", "writer.start!")
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
    live = DecidingSettings(idle_after_ms=int(30 * SECOND / speed), outage_grace_ms=0)
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


def kinds(found: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(f"{one['data']['behaviour']} {one['data']['kind']}" for one in found)


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


async def replayed(world: World, **options: Any) -> list[dict[str, Any]]:
    """The events of a replay of the topics."""
    printed = TopicReplayOptions(b"secret", world.live, **options)
    outcome = await replay_topics(operator_of(world), NAMES, POLICY, printed)
    return [json.loads(codec.encode(one)) for one in outcome.enforcement]


def as_in_files(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """The events of a replay of files."""
    found: list[dict[str, Any]] = run([[line for _, line in lines]], WRITTEN, windows=False)["enforcement"]
    return found


def plain(found: Sequence[dict[str, Any]]) -> list[str]:
    """Comparable forms of events, live ones or those of `oracle.product.run`."""
    flat = [one["data"] | {"id": one["id"]} if "data" in one else one for one in found]
    kept = ("id", "tenant_id", "kind", "status", "behaviour", "decided_ms", "evidence", "reverses", "refunds")
    return sorted(json.dumps({field: one[field] for field in kept}, sort_keys=True) for one in flat)


@pytest.mark.parametrize("seed", thorough(range(4), 1))
def test_partitions_that_take_bans_in_time_decide_as_files_do(seed: int) -> None:
    lines = scenario(random.Random(seed), early=True)
    world = world_of(seed, lines)

    async def go() -> None:
        for _ in range(2):
            world.add_worker().link.slow_share = 0.0
        await until(world, THE_END)
        check(world)
        await audited(world)
        assert plain(events(world)) == plain(await replayed(world, to_watermark=True))
        assert plain(events(world)) == plain(await replayed(world, follow=False))

    play(world, go)
    assert plain(events(world)) == plain(as_in_files(lines))
    assert values(world)


def test_the_scenarios_have_every_effect() -> None:
    found: Counter[str] = Counter()
    for seed in range(12):
        lines = scenario(random.Random(seed), False)
        found += Counter(f"{one['behaviour']} {one['kind']}" for one in as_in_files(lines))
    print(found)
    for behaviour in ("owner_banned ban", "owner_banned reversal", "banned_owner admission_rejected"):
        assert found[behaviour] > 3


@pytest.mark.parametrize("seed", thorough(range(100, 112), 2))
def test_bans_take_effect_once_wherever_workers_die(seed: int) -> None:
    rng = random.Random(seed)
    lines = scenario(rng, early=False)
    world = world_of(seed, lines, speed=rng.choice((20.0, 60.0)))
    deaths = [(rng.choice(POINTS), rng.randint(0, 60)) for _ in range(6)]

    def passing(process: Process, point: str) -> None:
        if deaths and point == deaths[0][0] and NOON + 2 * MINUTE < world.clock.now_ms() < LAST:
            deaths[0] = (point, deaths[0][1] - 1)
            if deaths[0][1] < 0:
                deaths.pop(0)
                dying = next((one for one in world.workers if one.process is process), None)
                if dying is not None and dying.process.alive:
                    dying.kill()
                    world.loop.outside(0.5, world.add_worker)

    async def go() -> None:
        world.passing = passing  # type: ignore[method-assign]  # kills workers on the way
        world.add_worker()
        world.add_worker()
        for hour in range(4):
            await until(world, NOON + (hour + 1) * 30 * MINUTE)
            world.broker.logs[OWNERS].compact(world.rng, 0)
        await until(world, THE_END + 10 * MINUTE)
        check(world)
        await audited(world)
        assert plain(events(world)) == plain(await replayed(world, to_watermark=True)), "by the journal"
        assert plain(await replayed(world, follow=False)) == plain(as_in_files(lines)), "without the journal"

    play(world, go)
    print(kinds(events(world)))


def test_another_partition_bans_a_tenant_and_lifts_the_ban() -> None:
    """What the two partitions decide, step by step."""
    by_partition = {partition_of(name.encode(), PARTITIONS, "murmur2"): name for name in TENANTS}
    bad, other = by_partition[0], by_partition[1]
    lines = [
        tenant(NOON + MINUTE, bad, "o"),
        tenant(NOON + MINUTE, other, "o"),
        complaint(NOON + 6 * MINUTE, bad, "k"),
        application(NOON + 20 * MINUTE, other, "a1"),
        complaint(NOON + 31 * MINUTE, bad, "k", "dismissed"),
        application(NOON + 50 * MINUTE, other, "a2"),
        *(last_call(LAST, name) for name in (bad, other)),
    ]
    world = world_of(1, lines)

    async def go() -> None:
        world.add_worker().link.slow_share = 0.0
        await until(world, THE_END)
        check(world)

    play(world, go)
    found = [(one["data"]["tenant_id"], one["data"]["behaviour"], one["data"]["kind"]) for one in events(world)]
    assert Counter(found) == Counter(
        [
            (bad, "verified_fraud_complaint", "ban"),
            (bad, "verified_fraud_complaint", "reversal"),
            (other, "owner_banned", "ban"),
            (other, "banned_owner", "admission_rejected"),
            (other, "owner_banned", "reversal"),
        ]
    )
    ban, lifting = values(world)
    assert (ban.owner_id, ban.tenant_id, ban.clause, ban.tier) == ("o", bad, 1, "severe")
    assert (ban.decided_ms, ban.lifted_ms, lifting.lifted_ms) == (NOON + 6 * MINUTE, None, NOON + 31 * MINUTE)
    assert [entry.from_ms for entry in bans_taken(world, 0)] == [NOON + 10 * MINUTE, NOON + 35 * MINUTE]
    assert [entry.from_ms for entry in bans_taken(world, 1)] == [NOON + 10 * MINUTE, NOON + 35 * MINUTE]
    (pending,) = [one for one in events(world) if one["data"]["behaviour"] == "owner_banned"][:1]
    assert (pending["data"]["status"], pending["data"]["decided_ms"]) == ("pending_review", NOON + 10 * MINUTE)
    assert pending["data"]["evidence"]["enforcement_ids"] == [ban.enforcement_id]


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


@pytest.mark.parametrize("seed", thorough(range(200, 204), 1))
def test_bans_are_carried_over_to_another_number_of_partitions(seed: int) -> None:
    """Each tenant gets one pending ban by a ban of its owner, in the former topics or in the new ones."""
    lines = scenario(random.Random(seed), early=True)
    middle_ms = NOON + random.Random(seed).randrange(30, 90) * MINUTE
    live = DecidingSettings(idle_after_ms=int(30 * SECOND / 20), outage_grace_ms=0)
    print("seed", seed)
    world = MovedWorld(random.Random(seed), POLICY, live, PARTITIONS, NOON, 20.0)
    new, count = TopicNames("new.", "new."), 3
    for topic in [*new.inputs, *map(new.output, OUTPUTS)]:
        world.broker.create(topic, count)
    world.broker.create(new.owners.topic, 1)
    world.produce(arrival(line) for line in lines if line[0] < middle_ms)
    later = [arrival(line) for line in lines if line[0] >= middle_ms]

    def side(names: TopicNames, application_id: str, partitions: int) -> RescaleSide:
        return RescaleSide(
            names,
            application_id,
            partitions,
            lambda number: StreamTask(POLICY, b"secret", live, PartitionIdentity(number, partitions)),
        )

    async def go() -> None:
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, middle_ms)
        worker.kill()
        former, world.moved = side(NAMES, "callwarden", PARTITIONS), side(new, "moved", count)
        await move(operator_of(world), former, world.moved, lambda line: None)
        for one in later:
            key = one.record.key or b""
            tp = TP("new." + one.tp.topic.removeprefix(NAMES.input_prefix), partition_of(key, count, "murmur2"))
            world.produce([Arrival(one.at_ms, tp, one.record)])
        worker = world.add_worker()
        worker.link.slow_share = 0.0
        await until(world, THE_END)
        assert worker.owned() == [0, 1, 2]

    play(world, go)
    logs = [
        world.broker.logs[TP(names.output("enforcement"), number)]
        for names, partitions in ((NAMES, PARTITIONS), (new, count))
        for number in range(partitions)
    ]
    found = [json.loads(entry.record.value or b"") for log in logs for entry in log.committed(0) if entry.record]
    assert [one for one, times in Counter(one["id"] for one in found).items() if times > 1] == []

    def owned(some: Sequence[dict[str, Any]]) -> Counter[tuple[str, str, str]]:
        """The pending bans of tenants of a banned owner, and their reversals, by the ban."""
        return Counter(
            (one["tenant_id"], one["kind"], one["evidence"]["enforcement_ids"][0])
            for one in some
            if one["behaviour"] == "owner_banned"
        )

    assert owned([one["data"] for one in found]) == owned(as_in_files(lines))
    copied = {(ban.enforcement_id, ban.lifted_ms) for ban in values(world)}
    in_new = [decode_owner_ban(*one.record[:2]) for one in world.broker.logs[new.owners].committed(0) if one.record]
    newest = {ban.enforcement_id: ban.lifted_ms for ban in in_new if not isinstance(ban, str)}
    assert {one for one, _ in copied} <= newest.keys()


@pytest.mark.parametrize("most", [1, 3])
def test_many_bans_are_taken_in_transactions_of_bounded_size(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that starts after the others takes all bans, a few in each transaction, and loses none."""
    monkeypatch.setattr("streams.worker.running.owner_ban_feed._MOST_BANS", most)
    monkeypatch.setattr("monitor.partition.processing.owner_ban_intake._MOST_ENTRIES", most)
    world, count = world_of(1, scenario(random.Random(1), early=True)), 12
    written: list[int] = []
    decide = RunningPartition._decide

    def watched(running: RunningPartition, task: StreamTask, hand_over: bool) -> Transaction:
        entries = len(task.journal)
        transaction = decide(running, task, hand_over)
        written.append(entries)
        return transaction

    monkeypatch.setattr(RunningPartition, "_decide", watched)

    async def go() -> None:
        for n in range(count):
            ban = OwnerBan(f"far-{n}", "elsewhere", f"cwe-x{n}", 1, "severe", NOON + n * SECOND)
            value = json.dumps({field: getattr(ban, field) for field in OwnerBan.__struct_fields__}).encode()
            world.broker.append(OWNERS, Record(f"cwe-x{n}".encode(), value))
        world.add_worker().link.slow_share = 0.0
        await until(world, THE_END)
        check(world)

    play(world, go)
    for number in range(PARTITIONS):
        taken = {entry.ban.enforcement_id for entry in bans_taken(world, number)}
        assert taken >= {f"cwe-x{n}" for n in range(count)}
    assert max(written) <= most + 2  # and the first policy
