"""Partitions that stop after a refused or unexpected input, and the operator commands that continue them."""

import asyncio
import random
from collections import Counter
from typing import Any

import msgspec
import pytest

from crash import judge
from crash.log import Log, Record
from crash.memory_consumer import MemoryConsumer
from crash.scenarios import (
    CDR,
    COMPLAINTS,
    CONTROL,
    MINUTE,
    NOON,
    POLICY,
    SECOND,
    STATE,
    command,
    complaint,
    count,
    dead_letters,
    phase,
    play,
    three_calls,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES, Arrival
from crash.world import World
from monitor.core.decisions.record_handlers import RecordHandlers
from monitor.decoding.decode import Decoder
from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.sources import Sources
from monitor.partition.task import StreamTask
from streams.kafka.api import TP, CorruptLog, PermanentError
from streams.worker.context import OwnedPhase
from streams.worker.recovery import RecoveryRefused, open_partition


def test_a_skipped_record_goes_to_the_dead_letters_and_stays_there_after_a_crash() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await asyncio.sleep(10)
        command(world, type="skip", topic=CDR.topic, offset=1, reason="a test")
        await until(world, NOON + 2 * MINUTE)
        worker.kill()
        world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        assert dead_letters(world) == [(b"1", b"skipped: a test")]
        assert judge.ids(world.broker, 0) == [], "two calls are too few"
        assert not wrong(world)

    play(world, go)


def test_a_transaction_that_the_broker_will_never_take_stops_the_partition_with_a_sentence() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await asyncio.sleep(10)

        def never(*_: object) -> None:
            raise PermanentError("writing as callwarden-0: not authorised")

        world.broker.produce = never  # type: ignore[method-assign]  # the broker refuses
        await until(world, NOON + 8 * MINUTE)
        assert phase(worker) == (OwnedPhase.REFUSED, "writing as callwarden-0: not authorised")
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.not_ready

    logs = play(world, go)
    assert not any("exc_info" in line for line in logs)


def test_an_unexpected_error_stops_its_partition_at_its_record_until_it_is_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = world_of(grace_ms=0)
    world.produce([*three_calls(NOON + MINUTE, "a"), *three_calls(NOON + MINUTE, "poison", NOON + MINUTE)])
    world.produce(three_calls(NOON + MINUTE, "c"))
    messages = Decoder.messages

    def fragile(self: Decoder, values: Any, offsets: Any, skipped: Any) -> Any:
        for value, offset in zip(values, offsets.tolist(), strict=True):
            if b"poison1" in value and offset not in skipped:
                raise ZeroDivisionError
        return messages(self, values, offsets, skipped)

    monkeypatch.setattr(Decoder, "messages", fragile)
    # All records arrive at once: the worker must isolate the bad record, which is not read alone by chance.
    monkeypatch.setattr("crash.memory_fetched.some_entries", lambda rng, entries, most, stop: (entries, stop))

    async def go() -> None:
        await until(world, NOON + 2 * MINUTE)
        worker = world.add_worker()
        await until(world, NOON + 4 * MINUTE)
        assert phase(worker) == (OwnedPhase.STOPPED, "callwarden.cdr offset 4: ZeroDivisionError")
        command(world, type="skip", topic=CDR.topic, offset=4, reason="it is poison")
        await until(world, NOON + 12 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert len(judge.ids(world.broker, 0)) == 1
        assert count(world, TP(NAMES.output("dead-letter"), 0)) == 1
        assert not wrong(world)

    logs = play(world, go)
    (stop,) = [line for line in logs if line["event"] == "partition stopped by an unexpected error"]
    assert stop["at"] == "callwarden.cdr offset 4"


@pytest.mark.parametrize("what", ["early", "idle", "due", "skip"])
def test_an_unexpected_error_stops_no_worker_wherever_it_occurs(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the partition would move to the next worker and stop that one, too."""
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    broken = Sources if what in ("idle", "skip") else StreamTask
    monkeypatch.setattr(broken, what, property(fails) if what == "due" else fails)

    async def go() -> None:
        workers = [world.add_worker(), world.add_worker()]
        await until(world, NOON + MINUTE)
        command(world, type="skip", topic=CDR.topic, offset=100, reason="a test")
        await until(world, NOON + 5 * MINUTE)
        assert not any(worker.over for worker in workers)
        stands = [phase(worker)[0] for worker in workers if worker.consumer_loop and worker.consumer_loop.owners]
        assert stands == [OwnedPhase.STOPPED]

    logs = play(world, go)
    assert any(line["event"] == "partition stopped by an unexpected error" for line in logs)


def undecidable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the complaint that is named poison fail when it is decided."""
    decide = RecordHandlers._complaint

    def fragile(self: RecordHandlers, tenant_record: Any, complaint: Any, at_ms: int) -> None:
        if complaint.complaint_id == "poison":
            raise ZeroDivisionError
        decide(self, tenant_record, complaint, at_ms)

    monkeypatch.setattr(RecordHandlers, "_complaint", fragile)


@pytest.mark.parametrize("orderly", [True, False])
def test_a_record_that_cannot_be_decided_is_named_and_can_be_skipped(
    orderly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A former owner read the record and handed it over, or was killed; many transactions pass before
    it is read again.
    """
    undecidable(monkeypatch)
    world = world_of(grace_ms=0)
    world.produce([*three_calls(NOON + 10 * SECOND, "a"), complaint(NOON + 20 * SECOND, "poison")])
    world.produce([complaint(NOON + 21 * SECOND, "fraud"), Arrival(NOON + 21 * SECOND, CDR, Record(b"t", b"{"))])

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 25 * SECOND)
        worker.terminate() if orderly else worker.kill()
        await asyncio.sleep(5)
        worker = world.add_worker()
        await until(world, NOON + 5 * MINUTE)
        assert phase(worker) == (OwnedPhase.STOPPED, "callwarden.complaints offset 0: ZeroDivisionError")
        command(world, type="skip", topic=COMPLAINTS.topic, offset=0, reason="a test")
        await until(world, NOON + 30 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert (b"0", b"skipped: a test") in dead_letters(world)
        assert judge.ids(world.broker, 0)
        assert not wrong(world)

    play(world, go)


def test_a_command_that_comes_while_a_partition_is_opened_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    refusals = 0

    async def hooked(*arguments: Any) -> Any:
        nonlocal refusals
        try:
            return await open_partition(*arguments)
        except RecoveryRefused:
            refusals += 1
            if refusals == 2:
                offset = world.broker.logs[TP(NAMES.output("enforcement"), 0)].last_stable
                command(world, type="accept", what="lost_state", offset=offset, reason="a test")
            raise

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        worker.kill()
        world.broker.logs[STATE] = Log()
        monkeypatch.setattr("streams.worker.partition_owner.open_partition", hooked)
        worker = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING

    play(world, go)


def test_a_partition_that_stops_while_it_is_opened_listens_where_the_commands_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The earlier commands have expired: the log has no records at its beginning."""
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))
    restore = StreamTask.restore

    def fails(*_: object) -> list[int]:
        raise ZeroDivisionError

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 7 * MINUTE)
        for _ in range(3):
            command(world, type="end_outage", reason="a test")
        await until(world, NOON + 8 * MINUTE)
        worker.kill()
        world.broker.logs[CONTROL].trim(3)
        monkeypatch.setattr(StreamTask, "restore", fails)
        worker = world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.STOPPED
        monkeypatch.setattr(StreamTask, "restore", restore)
        command(world, type="end_outage", reason="to have it opened again")
        await until(world, NOON + 13 * MINUTE)
        assert phase(worker)[0] is OwnedPhase.RUNNING
        assert not wrong(world)

    events = Counter(line["event"] for line in play(world, go))
    assert events["partition stopped by an unexpected error"] == 1
    assert events["a log was truncated or recreated; its partition is opened again"] == 0


def test_a_state_of_a_release_to_come_is_refused() -> None:
    world = world_of(grace_ms=0)
    world.produce(three_calls(NOON + MINUTE, "a"))

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        worker.kill()
        heads = [e.record for e in world.broker.logs[STATE].committed(0) if e.record and e.record.key == b"head/0"]
        head = heads[-1].value or b""
        later = msgspec.msgpack.decode(head[2:]) | {"format": 99}
        world.broker.append(STATE, Record(b"head/0", head[:2] + msgspec.msgpack.encode(later)))
        worker = world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        stands, reason = phase(worker)
        assert stands is OwnedPhase.REFUSED
        assert "format 99" in reason
        assert count(world, TP(NAMES.output("enforcement"), 0)) == 1

    play(world, go)


def test_a_partition_beside_one_that_was_made_with_another_count_is_refused() -> None:
    """Every topic was given more partitions: tenants map to other partitions, which have no state of them."""
    one = world_of(grace_ms=0)
    one.produce(three_calls(NOON + MINUTE, "a"))

    async def before() -> None:
        one.add_worker()
        await until(one, NOON + 10 * MINUTE)

    play(one, before)
    world = World(random.Random(1), POLICY, DecidingSettings(outage_grace_ms=0), 2, NOON + 10 * MINUTE)
    world.broker.logs |= one.broker.logs

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 12 * MINUTE)
        assert worker.consumer_loop is not None
        owners = [worker.consumer_loop.owners[number] for number in (0, 1)]
        assert [owner.phase for owner in owners] == [OwnedPhase.REFUSED] * 2
        assert "written for 1 partitions" in owners[0].why
        assert "that of partition 0 was written for 1 partitions; the topics have 2" in owners[1].why

    play(world, go)


def test_a_partition_number_that_some_topics_lack_is_parked() -> None:
    world = World(random.Random(1), POLICY, DecidingSettings(outage_grace_ms=0), 2, NOON)
    world.produce(three_calls(NOON + 10 * SECOND, "a"))

    async def go() -> None:
        world.broker.topics[CDR.topic] = 3
        world.broker.logs[TP(CDR.topic, 2)] = Log()
        workers = [world.add_worker(), world.add_worker()]
        await until(world, NOON + 20 * MINUTE)
        owners: list[Any] = [
            owner for worker in workers if worker.consumer_loop for owner in worker.consumer_loop.owners.values()
        ]
        assert sorted(
            (owner.number, owner.phase.value) for owner in owners if owner.phase is not OwnedPhase.PARKED
        ) == [
            (0, "running"),
            (1, "running"),
        ]
        assert not any(worker.over for worker in workers)
        messages = [str(worker.consumer_loop.not_ready) for worker in workers if worker.consumer_loop]
        assert all("callwarden.cdr has 3 partitions, the state was made with 2" in one for one in messages)

    play(world, go)


@pytest.mark.parametrize(("torn", "becomes"), [(CDR, OwnedPhase.STOPPED), (CONTROL, OwnedPhase.MISCONFIGURED)])
def test_a_log_that_is_torn_stops_its_partition_alone(
    torn: TP, becomes: OwnedPhase, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(random.Random(1), POLICY, DecidingSettings(outage_grace_ms=0), 2, NOON)
    others = [Arrival(one.at_ms, TP(CDR.topic, 1), one.record) for one in three_calls(NOON + MINUTE, "b")]
    world.produce([*three_calls(NOON + MINUTE, "a"), *others])
    poll = MemoryConsumer.poll

    async def fails(self: MemoryConsumer, tps: list[TP], timeout_s: float, most: int) -> Any:
        fetched = await poll(self, [tp for tp in tps if tp != torn], timeout_s, most)
        if not fetched and torn in tps:
            raise CorruptLog(torn, 0, "a checksum", 2)
        return fetched

    monkeypatch.setattr(MemoryConsumer, "poll", fails)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        found, reason = phase(worker)
        assert found is becomes
        assert reason.startswith(f"{torn.topic}-0: what is stored at offset 0 to 2 cannot be read: a checksum. To ")
        assert (
            "callwarden skip" if becomes is OwnedPhase.STOPPED else "kafka-delete-records.sh with offset 3 "
        ) in reason
        assert worker.consumer_loop is not None
        assert worker.consumer_loop.owners[1].phase is OwnedPhase.RUNNING
        assert judge.ids(world.broker, 1)

    logs = play(world, go)
    assert not any("broker is away" in line["event"] for line in logs)
