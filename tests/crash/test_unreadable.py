"""An unreadable record affects only its sender: it is rejected or skipped, and live, audit and replay agree."""

import asyncio
import json
from typing import Any

import pytest

from crash.log import Record
from crash.scenarios import (
    CDR,
    COMPLAINTS,
    CONTROL,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    command,
    count,
    dead_letters,
    journal_entries,
    operator_of,
    phase,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES, Arrival
from crash.world import World
from monitor.partition.journal import RefusedCommand, SkippedRecord
from streams.audit.partition import AuditContext
from streams.audit.run import audit
from streams.kafka.api import TP, CorruptLog, PermanentError
from streams.ops.topic_replay import TopicReplayOptions, replay_topics
from streams.worker.context import OwnedPhase

ENFORCEMENT = TP(NAMES.output("enforcement"), 0)
BATCH = Record(None, b"a bomb", fault="batch_too_large: the record batch ...", whole_batch=True, offsets=500)
HEADER = Record(b"t", b'{"type":"complaint"}', fault="bad_header: the name of a header is not UTF-8")


def decided(world: World) -> list[str]:
    entries = world.broker.logs[ENFORCEMENT].committed(0)
    return [json.loads(entry.record.value or b"")["id"] for entry in entries if entry.record is not None]


async def agreed(world: World) -> None:
    """Check that the audit and a replay from the topics find the workers' decisions and nothing else."""
    report = await audit(AuditContext(operator_of(world), NAMES, world.policy, b"secret", world.live))
    assert report.clean
    judged = await replay_topics(
        operator_of(world), NAMES, POLICY, TopicReplayOptions(b"secret", world.live, to_watermark=True)
    )
    assert [event.id for event in judged.enforcement] == decided(world)


@pytest.mark.parametrize("bad", [BATCH, HEADER], ids=["a batch", "a record"])
def test_unreadable_records_are_rejected_and_their_neighbours_are_judged(bad: Record) -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    for tp in (CDR, COMPLAINTS):
        world.produce([Arrival(NOON + MINUTE + SECOND, tp, bad)])
    world.produce(three_calls(NOON + MINUTE, "b", NOON + MINUTE + 2 * SECOND))

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 3 * MINUTE)
        first.kill()
        world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert len(decided(world)) == 1
        at = {offset for offset, reason in dead_letters(world)}
        assert {reason for _, reason in dead_letters(world)} == {bad.fault.encode()}
        assert at == {str(bad.offsets - 1).encode(), str(bad.offsets + 2).encode()}
        await agreed(world)

    play(world, go)
    assert not wrong(world)


def test_a_log_that_is_damaged_stops_its_partition_until_an_operator_has_it_skipped() -> None:
    """The skipped range counts as skipped in every later read, whether or not it is readable again by then."""
    world = world_of(grace_ms=0)
    world.produce(
        [*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + MINUTE, "b"), *three_calls(NOON + MINUTE, "c")]
    )
    world.broker.damaged[CDR] = (3, 5)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 8 * MINUTE)
        found, reason = phase(worker)
        assert found is OwnedPhase.STOPPED
        assert reason == (
            "callwarden.cdr-0: what is stored at offset 3 to 5 cannot be read: as if it were torn. To skip it: "
            "callwarden skip --topic callwarden.cdr --partition 0 --offset 3 --reason WHY"
        )
        with pytest.raises(CorruptLog):
            await replay_topics(operator_of(world), NAMES, POLICY, TopicReplayOptions(b"secret", world.live))
        command(world, type="skip", topic=CDR.topic, offset=3, reason="a disk", by="ops", at_ms=7)
        await until(world, NOON + 10 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        worker.kill()
        worker = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert dead_letters(world) == [(b"5", b"skipped: a disk")]
        skips = [entry for _, entry in journal_entries(world) if isinstance(entry, SkippedRecord)]
        assert skips == [SkippedRecord(3, "a disk", "ops", 7), SkippedRecord(3, "a disk", "ops", 7, through=5)]
        assert len(decided(world)) == 1
        await agreed(world)
        del world.broker.damaged[CDR]
        await agreed(world)

    play(world, go)


def test_a_skip_of_a_damaged_range_holds_when_its_transaction_fails_and_it_is_read_again() -> None:
    world = world_of(grace_ms=0)
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + MINUTE, "b")])
    world.broker.damaged[CDR] = (1, 4)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        command(world, type="skip", topic=CDR.topic, offset=1, reason="a disk")
        for seconds in (3.0, 0.3, 0.7, 1.1):
            await asyncio.sleep(seconds)
            worker.kill()
            worker = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert dead_letters(world) == [(b"4", b"skipped: a disk")]
        await agreed(world)

    play(world, go)


GARBAGE: list[bytes | None] = [
    None,
    b"",
    b"\xff\xfe",
    b"[" * 100_000,
    b"{}",
    b'{"type":"skip","topic":"callwarden.cdr","offset":-1,"reason":"x"}',
    b'{"type":"skip","topic":"callwarden.cdr","offset":1%s,"reason":"x"}' % (b"0" * 60),
    b'{"type":"skip","topic":"callwarden.cdr","offset":9223372036854775807,"reason":"x"}',
    b'{"type":"skip","topic":"callwarden.cdr","offset":90,"reason":"%s"}' % (b"x" * 900_000),
    b'{"type":"skip","topic":"%s","offset":90,"reason":"x"}' % (b"x" * 4_000),
    b'{"type":"skip","topic":"\xff","offset":90,"reason":"x"}',
    b'{"type":"skip","topic":"\\ud800","offset":90,"reason":"x"}',
    b'{"type":"accept","what":"lost_input","offset":1,"reason":"x","topic":"nowhere"}',
    b'{"type":"policy","policy":{},"sha256":"x","from_ms":1,"reason":"x"}',
    b'{"type":"policy","policy":{"rules":%s},"sha256":"x","from_ms":1,"reason":"x"}' % (b"[" * 90 + b"]" * 90),
    b'{"type":"policy","policy":{"rules":[1],"defaults":7},"sha256":"x","from_ms":9223372036854775807,"reason":"x"}',
    b'{"type":"withdraw","sha256s":["x"],"reason":"x"}',
    b'{"type":"end_outage","reason":"x","at_ms":1%s}' % (b"0" * 40),
]


def test_invalid_commands_are_refused_and_skipped() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce(three_calls(NOON + 7 * MINUTE, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 2 * MINUTE)
        for value in GARBAGE:
            world.broker.append(CONTROL, Record(b"0", value))
        world.broker.append(CONTROL, BATCH, HEADER)
        await until(world, NOON + 4 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        worker.kill()
        for value in GARBAGE:  # and again by a worker that opens the partition
            world.broker.append(CONTROL, Record(b"0", value))
        world.broker.append(CONTROL, BATCH, HEADER)
        worker = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        refused = [entry for _, entry in journal_entries(world) if isinstance(entry, RefusedCommand)]
        assert len(refused) == 2 * (len(GARBAGE) - 1 + 2)  # a skip of an offset that never comes is accepted
        assert max(len(entry.why) for entry in refused) <= 4_096
        assert count(world, ENFORCEMENT) == 2
        await agreed(world)

    play(world, go)
    assert not wrong(world)


def test_strangers_in_the_state_and_the_clock_log_are_passed_over() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    world.produce(three_calls(NOON + 12 * MINUTE, "b"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        worker.kill()
        for name in ("state", "clock"):
            tp = TP(NAMES.output(name), 0)
            world.broker.append(tp, BATCH, HEADER, Record(b"\xff", b"no key of ours", fault="bad_header: x"))
        world.broker.append(TP(NAMES.output("state"), 0), Record(b"\xff", b"no key of ours"), Record(None, b"none"))
        no_entries = (b"words", b"", None, b"[1]", b"\xff", b'{"type":"cdr","tenant_id":"acme"}', b'{"source":null}')
        world.broker.append(TP(NAMES.output("clock"), 0), *(Record(None, value) for value in no_entries))
        worker = world.add_worker()
        await until(world, NOON + 30 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert len(decided(world)) == 2
        await agreed(world)

    logs: list[Any] = play(world, go)
    assert any("not an entry of the state" in line["event"] for line in logs)
    assert any("not a journal entry" in line["event"] for line in logs)


def test_strangers_in_the_clock_log_are_not_taken_for_a_lost_state() -> None:
    """Without a state, an entry of the clock log shows that there was one; a record of another program does not."""
    world = world_of(grace_ms=0)
    damaged = Record(None, b"", fault="bad_header: x")
    world.broker.append(TP(NAMES.output("clock"), 0), Record(None, b"words"), Record(None, None), HEADER, damaged)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert len(decided(world)) == 1
        await agreed(world)

    play(world, go)


def test_an_entry_of_a_later_release_in_the_clock_log_is_an_error_that_names_its_offset() -> None:
    """It may have decided something: to pass it over would judge otherwise than its release did."""
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        at = world.broker.append(TP(NAMES.output("clock"), 0), Record(None, b'{"type":"later","source":null}'))
        with pytest.raises(PermanentError, match=f"clock-0 offset {at}: expected a journal entry that this release"):
            await agreed(world)

    play(world, go)
