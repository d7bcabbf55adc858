"""Signed reviews while workers with other keys take partitions over, are killed, or lose their state."""

import asyncio
import json
import random
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from crash.log import Record
from crash.rescales import moved, sides
from crash.scenarios import (
    HOUR,
    MINUTE,
    NOON,
    an_hour_of_calls,
    complaint,
    dead_letters,
    journal_entries,
    lose_state,
    operator_of,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES
from crash.virtual import Process
from crash.world import Worker, World
from helpers.review_signing import key_of, texts_of
from helpers.thorough import thorough
from monitor.partition.journal import ReviewKeysChange
from streams.audit.partition import AuditContext
from streams.audit.run import AuditReport, audit
from streams.kafka.api import TP
from streams.reviews.signatures import SIGNATURE_HEADER, SigningKey, sign
from streams.savepoint.archive import ArchiveReader
from streams.savepoint.export import export
from streams.savepoint.restore import RestoreOptions, restore_state
from streams.topics.state_topic import part_of

REVIEWS = TP("callwarden.reviews", 0)
WANG, LI, FORGED = key_of("wang"), key_of("li"), key_of("wang", seed=1)
POINTS = ("commit.begin!", "commit.produce!", "commit.offsets!", "commit.end?", "commit.end!", "read!", "writer.start!")
THE_END = NOON + 150 * MINUTE


def with_keys(world: World, *keys: SigningKey) -> None:
    """Workers that start from now on have these keys."""
    world.live = msgspec.structs.replace(world.live, review_keys=texts_of(*keys))


def start_with(world: World, *keys: SigningKey) -> Worker:
    """Start a worker with these keys, as all that start after it."""
    with_keys(world, *keys)
    return world.add_worker()


def without_setting(world: World) -> None:
    """Workers that start from now on have no review keys in their settings."""
    world.live = world.live.without_keys


def decided(world: World) -> list[dict[str, Any]]:
    entries = world.broker.logs[TP(NAMES.output("enforcement"), 0)].committed(0)
    return [json.loads(entry.record.value or b"") for entry in entries if entry.record is not None]


def review(about: str, name: str, at_ms: int, verdict: str = "overturn") -> bytes:
    record = {
        "type": "review",
        "review_id": name,
        "enforcement_id": about,
        "tenant_id": "t",
        "verdict": verdict,
        "reviewer": "anybody",
        "reason": "looked into it",
        "updated_ms": at_ms,
    }
    return json.dumps(record).encode()


def send(world: World, value: bytes, *headers: bytes) -> None:
    world.broker.append(REVIEWS, Record(b"t", value, tuple((SIGNATURE_HEADER, one) for one in headers)))


def send_signed(world: World, value: bytes, key: SigningKey) -> None:
    send(world, value, sign(value, key))


def reversals(world: World) -> int:
    return [event["data"]["kind"] for event in decided(world)].count("reversal")


def noted(world: World) -> list[tuple[int, list[str]]]:
    entries = [entry for _, entry in journal_entries(world) if isinstance(entry, ReviewKeysChange)]
    return [(entry.offset, sorted(entry.keys)) for entry in entries]


def refusals(world: World) -> dict[int, str]:
    return {int(offset): reason.decode().partition(":")[0] for offset, reason in dead_letters(world)}


async def audited(world: World) -> AuditReport:
    return await audit(AuditContext(operator_of(world), NAMES, world.policy, b"secret", world.live.without_keys))


def ban_id(world: World) -> str:
    return next(event["id"] for event in decided(world) if event["data"]["kind"] == "ban")


@pytest.mark.parametrize("seed", thorough(range(4), 1))
def test_keys_hold_from_an_offset_on_wherever_workers_die(seed: int) -> None:
    """A worker is killed at random points; each next one has the other keys. Whatever was accepted under which keys,
    the notes lead a replay to the same decisions and the same dead letters.
    """
    world, rng = world_of(seed, grace_ms=HOUR, speed=60.0), random.Random(seed)
    an_hour_of_calls(world)
    world.produce([complaint(NOON + n * 3 * MINUTE, f"p{n}") for n in range(20)])
    deaths = [(rng.choice(POINTS), rng.randint(0, 6)) for _ in range(6)]
    turns = cycle([(WANG,), (WANG, LI), (LI,)])
    reports: list[AuditReport] = []

    def passing(process: Process, point: str) -> None:
        if deaths and point == deaths[0][0] and NOON + 8 * MINUTE < world.clock.now_ms() < NOON + 90 * MINUTE:
            deaths[0] = (point, deaths[0][1] - 1)
            if deaths[0][1] < 0:
                deaths.pop(0)
                world.workers[-1].kill()
                start_with(world, *next(turns))

    async def go() -> None:
        world.passing = passing  # type: ignore[method-assign]  # kills workers on the way
        start_with(world, *next(turns))
        for n in range(30):
            await until(world, NOON + (6 + 3 * n) * MINUTE)
            known = decided(world)
            about = rng.choice(known)["id"] if known else "none"
            value = review(about, f"r{n}", world.clock.now_ms())
            signed = rng.choice((WANG, LI, LI, FORGED, None))
            send(world, value, *(() if signed is None else (sign(value, signed),)))
        await until(world, THE_END)
        reports.append(await audited(world))

    play(world, go)
    assert wrong(world) == []
    assert reports[0].clean, reports[0]
    changes = noted(world)
    assert changes[0] == (0, ["wang"])
    assert [offset for offset, _ in changes] == sorted(offset for offset, _ in changes)
    assert all(before[1] != after[1] for before, after in pairwise(changes)), "no note without a change"
    assert {"unsigned_review", "bad_signature"} <= set(refusals(world).values())


def a_ban(world: World) -> None:
    an_hour_of_calls(world)
    world.produce([complaint(NOON + 2 * MINUTE, "p")])


def test_a_refused_review_changes_nothing_and_moves_no_clock() -> None:
    world = world_of(grace_ms=4 * HOUR, speed=60.0)
    a_ban(world)
    clocks: list[int] = []

    async def go() -> None:
        worker = start_with(world, WANG)
        await until(world, NOON + 10 * MINUTE)
        about, now_ms = ban_id(world), world.clock.now_ms()
        assert worker.consumer_loop is not None
        task = worker.consumer_loop.owners[0].running.task  # type: ignore[union-attr]
        clocks.append(task.sources.clocks_ms[4])
        later = review(about, "later", now_ms + 4 * MINUTE)
        hostile: list[tuple[bytes, ...]] = [
            (),
            (b"",),
            (sign(later, FORGED),),
            (sign(later, LI),),
            (sign(later, WANG), sign(later, WANG)),
            (sign(b"another value", WANG),),
            (b"wang:" + b"A" * 88,),
            (b"\xff\xfe:" + sign(later, WANG).partition(b":")[2],),
            (sign(later, WANG) * 10_000,),
        ]
        for headers in hostile:
            send(world, later, *headers)
        await asyncio.sleep(0.6)
        clocks.append(task.sources.clocks_ms[4])
        before = len(decided(world))
        value = review(about, "right", now_ms)
        send_signed(world, value, WANG)
        await until(world, NOON + 100 * MINUTE)
        last = decided(world)[before:]
        assert [event["data"]["evidence"]["review_ids"] for event in last if event["data"]["kind"] == "reversal"] == [
            ["right"]
        ]

    play(world, go)
    assert clocks[1] < world.clock.now_ms() + 4 * MINUTE, "as time passes, not as the records say"
    assert refusals(world) == {0: "unsigned_review", **dict.fromkeys(range(1, 9), "bad_signature")}
    assert wrong(world) == []


def test_a_dead_letter_keeps_the_signature_that_can_be_right() -> None:
    world = world_of(grace_ms=4 * HOUR, speed=60.0)
    a_ban(world)
    value = review("no such decision", "r", NOON)

    async def go() -> None:
        start_with(world, WANG)
        await until(world, NOON + 4 * MINUTE)
        send_signed(world, value, WANG)  # refused when it is decided
        send_signed(world, value, LI)  # refused when it is read
        send(world, value, sign(value, LI) * 100)
        await until(world, NOON + 100 * MINUTE)

    play(world, go)
    letters = world.broker.logs[TP(NAMES.output("dead-letter"), 0)].committed(0)
    kept = {int(dict(one.record.headers)["offset"]): dict(one.record.headers).get(SIGNATURE_HEADER) for one in letters}  # type: ignore[union-attr]
    assert kept == {0: sign(value, WANG), 1: sign(value, LI), 2: None}


def test_a_worker_without_the_setting_keeps_the_keys_and_one_with_no_keys_ends_them() -> None:
    world = world_of(grace_ms=HOUR, speed=60.0)
    a_ban(world)
    logs: list[Any] = []

    async def go() -> None:
        start_with(world, WANG)
        await until(world, NOON + 10 * MINUTE)
        world.workers[-1].terminate()
        without_setting(world)
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        send(world, review(ban_id(world), "unsigned", world.clock.now_ms()))
        await until(world, NOON + 40 * MINUTE)
        assert refusals(world) == {0: "unsigned_review"}
        world.workers[-1].terminate()
        start_with(world)  # `keys: {}`
        await until(world, NOON + 50 * MINUTE)
        send(world, review(ban_id(world), "unsigned again", world.clock.now_ms()))
        await until(world, NOON + 120 * MINUTE)

    logs = play(world, go)
    told = [line for line in logs if "those of the state stay in force" in line["event"]]
    assert [line["names"] for line in told] == [["wang"]]
    assert refusals(world) == {0: "unsigned_review"}
    assert noted(world) == [(0, ["wang"]), (1, [])]
    assert reversals(world) == 1
    assert wrong(world) == []


def test_a_worker_with_older_keys_puts_them_into_force_again_from_where_it_takes_over() -> None:
    world = world_of(grace_ms=HOUR, speed=60.0)
    a_ban(world)

    async def go() -> None:
        for keys in ((WANG,), (LI,), (WANG,)):
            start_with(world, *keys)
            await until(world, world.clock.now_ms() + 10 * MINUTE)
            for key in (WANG, LI):
                value = review("no such decision", f"{key.name} {len(noted(world))}", NOON)
                send_signed(world, value, key)
            await until(world, world.clock.now_ms() + 10 * MINUTE)
            world.workers[-1].terminate()
            await until(world, world.clock.now_ms() + MINUTE)
        start_with(world, WANG)
        await until(world, NOON + 120 * MINUTE)

    play(world, go)
    assert noted(world) == [(0, ["wang"]), (2, ["li"]), (4, ["wang"])]
    found = refusals(world)
    assert {offset for offset, code in found.items() if code == "bad_signature"} == {1, 2, 5}
    assert {offset for offset, code in found.items() if code != "bad_signature"} == {0, 3, 4}
    assert wrong(world) == []


def test_a_lost_state_is_rebuilt_by_the_recorded_keys() -> None:
    world = world_of(grace_ms=HOUR, speed=60.0)
    a_ban(world)
    reports: list[AuditReport] = []

    async def go() -> None:
        start_with(world, WANG)
        await until(world, NOON + 10 * MINUTE)
        value = review(ban_id(world), "right", world.clock.now_ms())
        send_signed(world, value, WANG)
        await until(world, NOON + 80 * MINUTE)
        assert reversals(world) == 1
        world.workers[-1].kill()
        start_with(world, LI)
        lose_state(world)
        world.produce(three_calls(NOON + 85 * MINUTE, "again"))
        await until(world, NOON + 100 * MINUTE)
        value = review("no such decision", "by li", world.clock.now_ms())
        send_signed(world, value, LI)
        await until(world, NOON + 200 * MINUTE)
        reports.append(await audited(world))

    play(world, go)
    assert reversals(world) == 1
    assert noted(world) == [(0, ["wang"]), (1, ["li"])]
    assert [line for line in wrong(world) if "alerts" not in line] == [], "alerts are sent again"
    assert reports[0].clean
    assert "signed reviews by the name of the key: li 1, wang 1" in reports[0].partitions[0].notes


def test_a_moved_state_keeps_the_keys_and_what_was_accepted() -> None:
    """A signed review waits while the state is moved: it is carried over as accepted, with its header."""
    world = world_of(grace_ms=HOUR, speed=60.0)
    a_ban(world)
    values: list[bytes] = []

    async def go() -> None:
        start_with(world, WANG)
        await until(world, NOON + 10 * MINUTE)
        values.append(review(ban_id(world), "waits", world.clock.now_ms() + 4 * MINUTE))
        send(world, values[0], sign(values[0], WANG))
        await until(world, world.clock.now_ms() + MINUTE)
        world.workers[-1].kill()
        without_setting(world)
        old, new = sides(world)
        await moved(world, old, new, 0.0)
        await asyncio.sleep(1)  # until the markers of its transactions are written
        for number in range(new.partitions):
            part = await part_of(operator_of(world), new.names, number)
            task = new.new(number)
            task.restore(part.entries)
            assert task.sources.review_keys == texts_of(WANG)

    play(world, go)
    laid = [
        (entry.record.value, dict(entry.record.headers))
        for tp, log in world.broker.logs.items()
        if tp.topic == "new.reviews"
        for entry in log.committed(0)
        if entry.record is not None
    ]
    assert laid == [(values[0], {SIGNATURE_HEADER: sign(values[0], WANG)})]


def test_an_imported_state_goes_by_the_keys_recorded_since(tmp_path: Path) -> None:
    world, file = world_of(grace_ms=HOUR, speed=60.0), tmp_path / "state.zst"
    a_ban(world)
    reports: list[AuditReport] = []

    async def go() -> None:
        start_with(world, WANG)
        await until(world, NOON + 10 * MINUTE)
        await export(operator_of(world), NAMES, file, world.clock.now_ms())
        world.workers[-1].kill()
        start_with(world, LI)
        await until(world, NOON + 20 * MINUTE)
        for key in (WANG, LI):
            value = review(ban_id(world), f"by {key.name}", world.clock.now_ms())
            send_signed(world, value, key)
        await until(world, NOON + 80 * MINUTE)
        world.workers[-1].kill()
        before = noted(world)
        await restore_state(operator_of(world), NAMES, "callwarden", ArchiveReader(file), RestoreOptions(replace=True))
        without_setting(world)
        world.add_worker()
        await until(world, NOON + 150 * MINUTE)
        assert noted(world) == before == [(0, ["wang"]), (0, ["li"])]
        reports.append(await audited(world))

    play(world, go)
    assert reversals(world) == 1
    assert set(refusals(world).values()) == {"bad_signature"}
    assert reports[0].clean
