"""The audit and an import follow a policy change, and the audit finds a change that was removed from the clock log."""

import asyncio
import json
from pathlib import Path

import msgspec

from crash.log import Log, Record
from crash.scenarios import (
    CONTROL,
    HOUR,
    MINUTE,
    NOON,
    STATE,
    journal_entries,
    operator_of,
    play,
    three_calls,
    until,
    world_of,
)
from crash.traffic import NAMES
from crash.world import World
from monitor.partition.checkpoint import HEAD, CheckpointMetadata, packed_head
from monitor.partition.journal import PolicyChange, RefusedCommand
from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from streams.audit.partition import AuditContext
from streams.audit.run import AuditReport, audit
from streams.kafka.api import TP
from streams.savepoint.archive import ArchiveReader
from streams.savepoint.export import export
from streams.savepoint.restore import restore_state
from streams.topics.control_topic import PolicyCommand, WithdrawCommand

SWITCH = NOON + HOUR
HEAD_KEY = f"{HEAD}/0"


def policy_of(version: str) -> Policy:
    rule = {"id": "short", "behaviour": "blind_calling", "metric": "short_call_ratio", "above": 0.5}
    rule |= {"window": "5m", "step": "5m", "min_denominator": 3}
    made = {"id": "p", "version": version, "extends": "access-rules", "defaults": {"lateness": "1m"}}
    return loads(json.dumps(made | {"rules": [rule], "escalations": []}), "policy.json")


BEFORE, AFTER = policy_of("before"), policy_of("after")


def world_with_policies() -> World:
    """Two hours of calls that break the rule every five minutes, on workers whose state has room for
    several policies.
    """
    world = world_of(grace_ms=0, speed=60.0)
    world.policy = BEFORE
    for n in range(24):
        world.produce(three_calls(NOON + n * 5 * MINUTE + MINUTE, f"{n}-"))
    return world


def switch(world: World) -> None:
    command = PolicyCommand(to_plain(AFTER), AFTER.sha256, SWITCH, "a test")
    world.broker.append(CONTROL, Record(b"0", msgspec.json.encode(command)))


async def audited(world: World, start: ArchiveReader | None = None) -> AuditReport:
    return await audit(AuditContext(operator_of(world), NAMES, BEFORE, b"secret", world.live), start)


def versions(world: World) -> list[str]:
    entries = world.broker.logs[TP(NAMES.output("enforcement"), 0)].committed(0)
    return [json.loads(entry.record.value or b"")["data"]["policy"]["version"] for entry in entries if entry.record]


async def the_day(world: World, file: Path) -> None:
    """A worker decides, the state is exported, the policy changes, and another worker takes over."""
    first = world.add_worker()
    await until(world, NOON + 20 * MINUTE)
    switch(world)
    await until(world, NOON + 40 * MINUTE)
    await export(operator_of(world), NAMES, file, 0)
    await until(world, SWITCH + 7 * MINUTE)
    first.kill()
    world.add_worker()
    for n in range(8):
        await until(world, SWITCH + (10 + 10 * n) * MINUTE)
        assert (await audited(world)).clean
    for worker in world.running():
        worker.kill()


def test_the_audit_follows_the_policies_and_finds_a_switch_that_was_left_out(tmp_path: Path) -> None:
    world, file = world_with_policies(), tmp_path / "state.zst"

    async def go() -> None:
        await the_day(world, file)
        assert set(versions(world)) == {"before", "after"}
        for start in (None, ArchiveReader(file)):
            assert (await audited(world, start)).clean
        clock = world.broker.logs[TP(NAMES.output("clock"), 0)]
        entries = list(clock._entries)
        clock._entries = [
            one for one in entries if not one.record or AFTER.sha256.encode() not in (one.record.value or b"")
        ]
        assert len(clock._entries) == len(entries) - 1
        report = await audited(world)
        assert len(report.differences) == versions(world).count("after")
        for one in report.differences:
            assert (one.what, one.decision) == ("changed", True)
            assert {change.path for change in one.changes} == {"data.policy.version", "data.policy.sha256"}
        (reason,) = report.partitions[0].unchecked
        assert f"has the policy {AFTER.sha256[:12]}, which callwarden.clock does not name" in reason

    play(world, go)


async def import_and_catch_up(world: World, file: Path) -> None:
    """Delete the state, restore the export, and let a worker catch up."""
    world.broker.logs[STATE] = Log()
    await restore_state(operator_of(world), NAMES, "callwarden", ArchiveReader(file))
    world.add_worker()
    await until(world, SWITCH + 90 * MINUTE)
    await asyncio.sleep(60)


def test_a_switch_after_the_export_is_known_after_the_import(tmp_path: Path) -> None:
    world, file = world_with_policies(), tmp_path / "state.zst"

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 40 * MINUTE)
        await export(operator_of(world), NAMES, file, 0)
        switch(world)
        await until(world, SWITCH + 32 * MINUTE)
        first.kill()
        known = versions(world)
        assert set(known) == {"before", "after"}
        await import_and_catch_up(world, file)
        assert (await audited(world)).clean
        assert versions(world).count("after") > known.count("after")

    play(world, go)


def test_a_pending_command_is_taken_after_the_import_and_no_command_twice(tmp_path: Path) -> None:
    world, file = world_with_policies(), tmp_path / "state.zst"
    third = policy_of("third")

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        await export(operator_of(world), NAMES, file, 0)
        switch(world)
        switch(world)  # refused: the policy is already scheduled
        await until(world, NOON + 40 * MINUTE)
        first.kill()
        command = PolicyCommand(to_plain(third), third.sha256, SWITCH + 30 * MINUTE, "a test")
        world.broker.append(CONTROL, Record(b"0", msgspec.json.encode(command)))
        await import_and_catch_up(world, file)
        entries = [entry for _, entry in journal_entries(world)]
        switches = [(entry.from_ms, entry.sha256) for entry in entries if isinstance(entry, PolicyChange)]
        assert switches[1:] == [(SWITCH, AFTER.sha256), (SWITCH + 30 * MINUTE, third.sha256)]
        assert sum(isinstance(entry, RefusedCommand) for entry in entries) == 1
        assert set(versions(world)) == {"before", "after", "third"}
        assert (await audited(world)).clean

    play(world, go)


def test_a_withdrawal_after_the_export_is_known_after_the_import_and_to_the_audit(tmp_path: Path) -> None:
    world, file = world_with_policies(), tmp_path / "state.zst"

    async def go() -> None:
        first = world.add_worker()
        await until(world, NOON + 20 * MINUTE)
        switch(world)
        await until(world, NOON + 40 * MINUTE)
        await export(operator_of(world), NAMES, file, 0)
        command = WithdrawCommand((AFTER.sha256,), "the wrong file")
        world.broker.append(CONTROL, Record(b"0", msgspec.json.encode(command)))
        await until(world, SWITCH + 32 * MINUTE)
        first.kill()
        for start in (None, ArchiveReader(file)):
            assert (await audited(world, start)).clean
        await import_and_catch_up(world, file)
        for start in (None, ArchiveReader(file)):
            assert (await audited(world, start)).clean
        assert set(versions(world)) == {"before"}

    play(world, go)


def test_a_worker_that_was_killed_right_at_the_switch_has_left_out_nothing(tmp_path: Path) -> None:
    """A decision at the instant of the change is made under the new policy, in the next transaction."""
    world = world_with_policies()

    async def go() -> None:
        await the_day(world, tmp_path / "state.zst")
        at_the_switch = [
            entry.timestamp_ms
            for entry in world.broker.logs[STATE].committed(0)
            if entry.record is not None and entry.record.key == HEAD_KEY.encode()
            if (packed := packed_head({HEAD_KEY: entry.record.value or b""})) is not None
            if msgspec.msgpack.decode(packed, type=CheckpointMetadata).watermark_ms == SWITCH
        ]
        logs = [world.broker.logs[TP(NAMES.output(name), 0)] for name in ("enforcement", "evidence", "clock", "state")]
        # What a transaction writes to several partitions gets several times: cut where the next one begins.
        end_ms = next(
            entry.timestamp_ms
            for entry in world.broker.logs[STATE]._entries
            if entry.record is None and entry.timestamp_ms >= at_the_switch[0]
        )
        next_ms = min(
            entry.timestamp_ms
            for log in logs
            for entry in log._entries
            if entry.record is not None and entry.timestamp_ms > end_ms
        )
        for log in logs:
            log._entries = [entry for entry in log._entries if entry.timestamp_ms < next_ms]
        assert set(versions(world)) == {"before"}
        report = await audited(world)
        assert report.clean
        assert report.partitions[0].compared["enforcement"].due > 0

    play(world, go)
