"""The operator's commands on a real Kafka: what they read, write and print."""

import json
import re
import socket
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from command_world import PARTITIONS, World

from helpers.call_lines import call_line
from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS
from monitor.partition.journal import (
    ClockAdvance,
    JournalEntry,
    LostInput,
    LostState,
    OutageEnded,
    PolicyChange,
    RefusedCommand,
    SkippedRecord,
)
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from monitor.simulate.run import Run
from monitor.simulate.settings import DAY_MS, SimulationSettings
from streams.topics.control_topic import (
    AcceptCommand,
    Command,
    EndOutageCommand,
    PolicyCommand,
    SkipCommand,
    WithdrawCommand,
)
from streams.topics.transaction_records import encode_journal_entry

pytestmark = pytest.mark.services
ASK, ASKED = ", ask 13912345678", ", ask •••••••••78"
START_MS = 1_772_409_600_000  # 2026-03-02T00:00:00Z
QUARTER_MS = 900_000
FOR_EVER = "100000"
HOUSE = """\
id: house
version: "1"
rules:
- {id: busy, behaviour: blind_calling, metric: attempts, above: 30, window: 1h, step: 5m}
exemptions:
- {tenant: t0001, rules: [busy], owner: ops, reason: a test, expires: 2099-01-01}
"""


@pytest.fixture
async def world(address: str) -> World:
    made = World(address)
    await made.make()
    return made


async def test_topics_are_replayed_like_files_of_the_same_records(world: World, tmp_path: Path) -> None:
    settings = SimulationSettings(6, 2, 11, calls_per_day=6_000, start_ms=START_MS)
    files: dict[str, list[bytes]] = {f"{world.prefix}{name}-{n}": [] for name in INPUTS for n in range(PARTITIONS)}
    async with world.producer() as producer:

        async def send(name: str, number: int, key: bytes | None, line: bytes, at_ms: int) -> None:
            topic = world.prefix + name
            await producer.send(topic, line, key, partition=number, timestamp_ms=at_ms)
            files[f"{topic}-{number}"].append(line)

        for hour in Run(settings).hours():
            for at in np.arange(len(hour)).tolist():
                tenant, line = str(hour.tenant[at]), str(hour.line[at]).rstrip("\n").encode()
                number = partition_of(tenant.encode(), PARTITIONS, "murmur2")
                await send(INPUTS[hour.topic[at]], number, tenant.encode(), line, START_MS + 9 * DAY_MS)
        await send("cdr", 1, b"x", b"{broken", START_MS + 9 * DAY_MS)
        await producer.flush()
    for name, lines in files.items():
        (tmp_path / name).write_bytes(b"".join(line + b"\n" for line in lines))
    by_files, by_topics, by_now = tmp_path / "by-files", tmp_path / "by-topics", tmp_path / "by-now"
    world.run("replay", *(str(tmp_path / name) for name in files), "--out", str(by_files), "--quiet")
    said = json.loads(world.run("replay", "--from-topics", "--out", str(by_topics), "--quiet", "--json"))
    assert said["enforcement"] > 0
    assert (said["read"], said["rejected"]) == (sum(map(len, files.values())), 1)
    for name in ("enforcement.jsonl", "alerts.jsonl", "shadow.jsonl", "late.jsonl"):
        assert (by_topics / name).read_bytes() == (by_files / name).read_bytes(), name
    rejected = json.loads((by_topics / "rejected.jsonl").read_bytes())
    assert (rejected["file"], rejected["raw"]) == (f"{world.prefix}cdr-1", "{broken")
    assert rejected["line"] == len(files[f"{world.prefix}cdr-1"]) - 1
    looked = []
    (tmp_path / "house.yaml").write_text(HOUSE, "utf-8")
    for source in (["--from-topics"], [str(tmp_path / name) for name in files]):
        said = world.run("policy", "preflight", *source, "--policy", str(tmp_path / "house.yaml"), "--json")
        looked.append(json.loads(said))
    changes = looked[0].pop("changes")
    # Tenants that the busy-hour rule alone would warn. A rule that was removed warns no tenant any more.
    assert any(rule["rule_id"] == "busy" and rule["appears"] for change in changes for rule in change["rules"])
    assert looked[0].pop("before") != looked[0].pop("after")
    assert looked[0] == looked[1]
    said = world.run("policy", "preflight", "--from-topics", "--policy", str(tmp_path / "house.yaml"))
    assert f"{len(changes)} tenant" in said
    assert "would change tier over the records of the topics, from access-rules 1" in said

    # No worker has advanced a clock: all sources are silent from the start, so nothing can be decided.
    world.run("replay", "--from-topics", "--to-watermark", "--out", str(by_now), "--quiet")
    assert (by_now / "enforcement.jsonl").read_bytes() == b""
    # As if a worker had: every source reaches at least the end of the first day, so that day is decided.
    day_ms = START_MS + DAY_MS
    async with world.producer() as producer:
        for number in range(PARTITIONS):
            for source_number, name in enumerate(INPUTS):
                advance = ClockAdvance(len(files[f"{world.prefix}{name}-{number}"]), day_ms)
                entry = encode_journal_entry(source_number, advance)
                await producer.send_and_wait(world.prefix + "clock", entry, partition=number)
    world.run("replay", "--from-topics", "--to-watermark", "--out", str(by_now), "--quiet")
    decided = set((by_now / "enforcement.jsonl").read_bytes().splitlines())
    in_the_end = set((by_files / "enforcement.jsonl").read_bytes().splitlines())
    due_ms = day_ms - load(None).lateness_ms
    due = {line for line in in_the_end if json.loads(line)["data"]["decided_ms"] < due_ms}
    assert due
    assert due <= decided < in_the_end


async def test_a_skip_reports_whether_it_was_accepted(world: World) -> None:
    topic = world.prefix + "complaints"
    printed = ("skip", "--topic", topic, "--partition", "1", "--offset", "1", "--reason", f"bad{ASK}", "--by", "ann")
    async with world.producer() as producer:
        for value in (b"one", b"two"):
            await producer.send_and_wait(topic, value, partition=1)
        at = ("--partition", "1", "--offset", "2", "--reason", "bad")
        assert "expected 0 to 1" in world.run("skip", "--topic", topic, *at, status=2)
        assert "expected an input topic" in world.run("skip", "--topic", "complaints", *at, status=2)
        said = world.run(*printed, "--wait", "1", status=1)
        assert "not taken within 1 s" in said
        assert "written" in world.run(*printed, "--wait", "0")
        process = world.start(*printed)
        commands = await world.commands(1, 3)
        assert [unsigned(command) for command in commands] == [SkipCommand(topic, 1, f"bad{ASKED}", "ann")] * 3
        assert all(not isinstance(command, str) and command.at_ms > START_MS for command in commands)
        for entry in (SkippedRecord(0, "another"), SkippedRecord(1, "bad")):
            await producer.send_and_wait(
                world.prefix + "clock", encode_journal_entry(INPUTS.index("complaints"), entry), partition=1
            )
        out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, err
    assert out.startswith(f"taken: {topic}-1 offset 1")


async def test_acceptances_and_the_end_of_an_outage_report_whether_they_were_accepted(world: World) -> None:
    topic = world.prefix + "cdr"
    at = ("--partition", "1", "--offset", "0", "--reason", f"disk lost{ASK}", "--by", f"ann{ASK}")
    assert "written" in world.run("accept", "lost-state", *at, "--wait", "0")
    said = world.run("accept", "lost-input", "--topic", topic, *at, "--wait", "1", status=1)
    assert "not taken within 1 s: partition 1 has not continued" in said
    process = world.start("accept", "lost-state", *at)
    assert [unsigned(command) for command in await world.commands(1, 3)] == [
        AcceptCommand("lost_state", 0, f"disk lost{ASKED}", by=f"ann{ASKED}"),
        AcceptCommand("lost_input", 0, f"disk lost{ASKED}", topic, f"ann{ASKED}"),
        AcceptCommand("lost_state", 0, f"disk lost{ASKED}", by=f"ann{ASKED}"),
    ]
    clock = world.prefix + "clock"
    async with world.producer() as producer:
        for source, entry in ((0, LostInput(0, 3, False, "disk lost", "ann")), (None, LostState(0, "x", "ann"))):
            assert process.poll() is None
            await producer.send_and_wait(clock, encode_journal_entry(source, entry), partition=1)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, err) == (0, "taken: partition 1 has continued, and has recorded it\n", "")

    assert "expected 0 to 1" in world.run("end-outage", "--partition", "2", "--reason", "x", status=2)
    assert "written for partitions 0, 1" in world.run("end-outage", "--reason", "holiday", "--wait", "0")
    process = world.start("end-outage", "--reason", f"holiday{ASK}", "--by", "ann", "--wait", "15")
    command = (await world.commands(0, 2))[1]
    assert isinstance(command, EndOutageCommand)
    assert unsigned(command) == EndOutageCommand(f"holiday{ASKED}", "ann")
    async with world.producer() as producer:
        ended = OutageEnded(0, "holiday", "ann", command.at_ms)
        await producer.send_and_wait(clock, encode_journal_entry(0, ended), partition=0)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert out == "taken: the clock of partition 0 follows the broker's time until the next call\n"
    assert err.startswith("not taken within 15 s: partition 1. ")


async def test_a_policy_change_that_no_worker_takes_lists_possible_causes(world: World) -> None:
    said = world.run("policy", "apply", "deploy/policy.yaml", "--yes", "--reason", "agreed", "--wait", "1", status=1)
    assert "not taken within 1 s by partition 0, 1. Its worker's log and /readyz say why" in said


async def test_a_refused_policy_change_says_why_and_stops_waiting(world: World) -> None:
    clock, coming_ms = world.prefix + "clock", (time.time_ns() // 1_000_000 // QUARTER_MS + 4) * QUARTER_MS
    printed = ("--yes", "--reason", "agreed", "--wait", FOR_EVER)
    async with world.producer() as producer:

        async def record(partition: int, entry: JournalEntry) -> None:
            await producer.send_and_wait(clock, encode_journal_entry(None, entry), partition=partition)

        process = world.start(
            "policy", "apply", "deploy/policy.yaml", "--no-preview", "--from", str(coming_ms), *printed
        )
        for number in range(PARTITIONS):
            [command] = await world.commands(number)
            assert isinstance(command, PolicyCommand)
            by = command.by, command.at_ms
            if number == 0:
                await record(number, RefusedCommand(0, "of another command", "somebody", command.at_ms))
                await record(number, RefusedCommand(0, f"it cannot be read by this release{ASK}", *by))
            else:
                await record(number, PolicyChange(coming_ms, command.sha256, command.policy, "agreed", *by))
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1, err
        assert "taken: partition 1 applies it from" in out
        assert err == f"refused: partition 0: it cannot be read by this release{ASKED}; nothing was changed there\n"

        process = world.start("policy", "withdraw", *printed)
        withdrawal = (await world.commands(1, 2))[1]
        assert isinstance(withdrawal, WithdrawCommand)
        await record(1, RefusedCommand(2, "no such policy is scheduled", withdrawal.by, withdrawal.at_ms))
        out, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 1, err
        assert "taken" not in out
        assert err == "refused: partition 1: no such policy is scheduled; nothing was changed there\n"


def unsigned(command: Command | str) -> Command:
    assert not isinstance(command, str)
    return msgspec.structs.replace(command, at_ms=0)


async def test_a_worker_skips_the_record_of_a_command_and_reads_it_when_it_is_retried(
    address: str, tmp_path: Path
) -> None:
    world = World(address)
    world.run("topics", "create", "--partitions", str(PARTITIONS), "--replication-factor", "1")
    cdr, now_ms = world.prefix + "cdr", time.time_ns() // 1_000_000
    number = partition_of(b"acme", PARTITIONS, "murmur2")
    async with world.producer() as producer:
        for n in range(3):
            await producer.send_and_wait(cdr, call_line(f"c{n}", now_ms - 1000), b"acme")
    # No worker is running yet: the command waits for one.
    partition = ("--topic", cdr, "--partition", str(number))
    world.run("skip", *partition, "--offset", "1", "--reason", "it stops the worker", "--wait", "0")
    worker = world.start("worker", "--idle-after", "1s", "--port", str(free_port()))
    try:
        (letter,) = await world.records("dead-letter", number, 1)
        assert letter.value == call_line("c1", now_ms - 1000)
        (printed,) = json.loads(world.run("dead-letter", "list", "--json"))["dead_letters"]
        assert printed["error"] == "skipped: it stops the worker"
        assert "1 written back" in world.run("dead-letter", "retry", "--all", "--yes")
        said = world.run("skip", *partition, "--offset", "0", "--reason", "too late", "--wait", FOR_EVER, status=1)
        assert re.search(rf"refused: partition {number}: .*was already read.*; nothing was changed there", said)
        said = world.run("replay", "--from-topics", "--out", str(tmp_path), "--quiet")
        assert "warning: 1 worker is at work: a worker records a clock" in said
    finally:
        worker.terminate()
        _, log = worker.communicate(timeout=PATIENCE_S)
    assert worker.returncode == 0, log
    assert "was already read" in log
    said = world.run("replay", "--from-topics", "--to-watermark", "--out", str(tmp_path), "--quiet", "--json")
    summary = json.loads(said)  # no warning: no worker is running
    assert (summary["read"], summary["accepted"], summary["rejected"]) == (4, 3, 1)


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


async def test_a_record_of_another_program_in_our_topics_leaves_json_the_only_answer(world: World) -> None:
    async with world.producer() as producer:
        await producer.send_and_wait(world.prefix + "state", b"words", b"\xff", partition=0)
        await producer.send_and_wait(world.prefix + "clock", b"words", partition=0)
    for command in (("policy", "status"), ("audit",)):
        process = world.start(*command, "--json")
        out, err = process.communicate(timeout=PATIENCE_S)
        assert isinstance(json.loads(out), dict)
        assert "skipped a record" in err
