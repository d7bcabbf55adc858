"""Bans follow an owner through several partitions while workers are killed: live, audit and files agree."""

import json
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from crash.log import Record
from crash.owners import (
    LAST,
    OWNERS,
    PARTITIONS,
    TENANTS,
    THE_END,
    Line,
    application,
    arrival,
    audited,
    bans_taken,
    check,
    complaint,
    events,
    last_call,
    scenario,
    tenant,
    values,
    world_of,
)
from crash.scenarios import MINUTE, NOON, POLICY, SECOND, WRITTEN, operator_of, play, until
from crash.traffic import NAMES, Arrival
from crash.virtual import Process
from crash.world import OUTPUTS, MovedWorld, World
from helpers.thorough import thorough
from monitor.partition.checkpoint import DecidingSettings, PartitionIdentity
from monitor.partition.partitioner import partition_of
from monitor.partition.task import StreamTask
from oracle.product import run
from schemas import codec
from schemas.owners import OwnerBan
from streams.kafka.api import TP
from streams.kafka.topic_names import TopicNames
from streams.ops.topic_replay import TopicReplayOptions, replay_topics
from streams.savepoint.close import RescaleSide
from streams.savepoint.rescale import move
from streams.topics.owners_topic import decode_owner_ban
from streams.worker.running.running_partition import RunningPartition
from streams.worker.running.transaction import Transaction

POINTS = ("commit.begin!", "commit.produce!", "commit.end?", "commit.end!", "read!", "read?", "ends!", "writer.start!")


def kinds(found: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(f"{one['data']['behaviour']} {one['data']['kind']}" for one in found)


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


@pytest.mark.parametrize("seed", thorough(range(100, 112), 1))
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


@pytest.mark.parametrize("seed", thorough(range(200, 204), 1))
def test_bans_are_carried_over_to_another_number_of_partitions(seed: int) -> None:
    """Each tenant gets one pending ban by a ban of its owner, in the former topics or in the new ones."""
    lines = scenario(random.Random(seed), early=True)
    middle_ms = NOON + random.Random(seed).randrange(30, 90) * MINUTE
    live = DecidingSettings(idle_after_ms=int(2 * MINUTE / 20), outage_grace_ms=0)
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


@pytest.mark.parametrize("most", thorough([1, 3], 1))
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
