"""The state is moved to topics with another number of partitions: before and after, what one replay of all decides."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from deadlines import deadline
from worker_judge import read_all
from worker_platform import Platform
from worker_processes import MAIN, PARTITIONS, fleet_of, wait_for
from worker_traffic import Day, Sender, Sent, sender_to

from monitor.keying import partition_of
from monitor.policy.load import load
from monitor.replay import replay
from monitor.topics import INPUTS
from schemas import codec
from streams.child import Child
from streams.kafka import KafkaCluster
from streams.names import Names
from streams.settings import load as load_settings
from streams.state.look import part_of

_STOP_S = 20
NEW = Names("new-in.", "new-out.")
NEW_PARTITIONS = 5
_CALLS = INPUTS.index("cdr")
TO = ["--to-input-prefix", NEW.input_prefix, "--to-output-prefix", NEW.output_prefix, "--to-application-id", "moved"]


def callwarden(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`callwarden` to its end."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def killed_after(lines: int, then_s: float, log: Path, environment: Mapping[str, str]) -> list[str]:
    """A move that is killed a little after it has said so many lines; what it has said."""
    with log.open("wb") as output:
        attempt = Child([sys.executable, "-c", MAIN, "state", "move", *TO], output, {**os.environ, **environment})
    wait_for(lambda: len(log.read_text().splitlines()) >= lines or not attempt.running, f"{lines} lines are said")
    time.sleep(then_s)
    attempt.kill()
    return log.read_text().splitlines()


def day_of(seed: int) -> list[Sent]:
    """A simulated day of which nothing comes too late; what is not a call first, so that it waits for the calls."""
    day = Day(seed, pieces=1, tenants=60, calls=20_000, partitions=PARTITIONS, late_share=0)
    well = [one for one in day.pieces[0] if not one.mark and one.value is not None]
    others = [one for one in well if one.source != _CALLS]
    others.sort(key=lambda one: int(json.loads(one.value or b"")["updated_ms"]))
    return [*others, *(one for one in well if one.source == _CALLS), *day.calls_now(0)]


def replayed(platform: Platform, day: Sequence[Sent], folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    """What one replay of all these records decides, by tenant, with the time of each."""
    files = [folder / f"{name}.jsonl" for name in INPUTS]
    for source, path in enumerate(files):
        path.write_bytes(b"".join((one.value or b"") + b"\n" for one in day if one.source == source))
    whole = replay([file for file in files if file.stat().st_size], load(str(platform.policy)))
    assert whole.late == []
    events: dict[str, list[tuple[int, bytes]]] = {}
    for event in whole.enforcement:
        events.setdefault(event.subject, []).append((event.data.decided_ms, codec.encode(event)))
    return events


async def watermarks(address: str) -> list[int]:
    """How far each of the new partitions has judged."""
    cluster = KafkaCluster(load_settings({"bootstrap_servers": address}))
    try:
        parts = [await part_of(cluster, NEW, number) for number in range(NEW_PARTITIONS)]
    finally:
        await cluster.stop()
    return [part.judged.watermark_ms if part.judged else 0 for part in parts]


@pytest.mark.services
async def test_a_move_with_kills_at_any_step_loses_and_repeats_nothing(platform: Platform, tmp_path: Path) -> None:
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED") or random.randrange(10**6))
    print(f"CALLWARDEN_TEST_SEED={seed}")
    chooser = random.Random(seed)
    day = day_of(seed)
    cut = chooser.randrange(len(day) // 3, 2 * len(day) // 3)
    address, old = platform.node.address, platform.environment
    new = {
        **old,
        "CALLWARDEN_INPUT_PREFIX": NEW.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": NEW.output_prefix,
        "CALLWARDEN_APPLICATION_ID": "moved",
    }
    async with sender_to(address) as producer:
        with fleet_of(tmp_path, old) as fleet:
            workers = [fleet.add() for _ in range(2)]
            await asyncio.to_thread(fleet.settle)
            await Sender(producer, platform.names).send(day[:cut])
            assert "at work" in (await asyncio.to_thread(callwarden, old, "state", "move", *TO)).stderr
            assert workers[0].kill() == -9
            assert await asyncio.to_thread(workers[1].terminate, _STOP_S) in (0, 1)

        sizes = {"CALLWARDEN_PARTITIONS": str(NEW_PARTITIONS), "CALLWARDEN_REPLICATION_FACTOR": "1"}
        made = await asyncio.to_thread(callwarden, {**new, **sizes}, "topics", "create")
        assert made.returncode == 0, made.stderr
        async with deadline("the group forgets who was killed", 60):
            while "at work" in (await asyncio.to_thread(callwarden, old, "state", "move", "--undo", *TO)).stderr:
                await asyncio.sleep(1)
        for lines in range(3):
            said = await asyncio.to_thread(killed_after, lines, chooser.uniform(0, 1), tmp_path / "move.log", old)
            print(f"killed after {said[-1:]}")
        done = await asyncio.to_thread(callwarden, old, "state", "move", *TO)
        assert done.returncode == 0, done.stderr + done.stdout
        print(done.stdout)

        with fleet_of(tmp_path, old) as fleet:
            late_comer = fleet.add()
            what = "a worker on the former topics refuses all"
            await asyncio.to_thread(wait_for, lambda: len(late_comer.owned("refused")) == PARTITIONS, what)
            assert await asyncio.to_thread(late_comer.terminate, _STOP_S) == 0

        (tmp_path / "new").mkdir()
        with fleet_of(tmp_path / "new", new) as fleet:
            workers = [fleet.add() for _ in range(2)]
            await asyncio.to_thread(
                wait_for, lambda: sum(len(one.owned()) for one in workers) == NEW_PARTITIONS, "all partitions are run"
            )
            rest = [replace(one, partition=partition_of(one.key, NEW_PARTITIONS, "murmur2")) for one in day[cut:]]
            await Sender(producer, NEW).send(rest[: len(rest) // 2])
            assert workers[0].kill() == -9
            await Sender(producer, NEW).send(rest[len(rest) // 2 :])
            wanted = int(json.loads(rest[-1].value or b"")["end_ms"]) - 25_000
            async with deadline("all is judged", 120):
                while min(await watermarks(address)) < wanted:
                    await asyncio.sleep(1)
            assert await asyncio.to_thread(workers[1].terminate, _STOP_S) == 0

    judged = await watermarks(address)
    expected = {
        tenant: [event for at_ms, event in events if at_ms <= judged[partition_of(tenant.encode(), 5, "murmur2")]]
        for tenant, events in replayed(platform, day, tmp_path).items()
    }
    found: dict[str, list[bytes]] = {}
    counts = []
    for names, count in ((platform.names, PARTITIONS), (NEW, NEW_PARTITIONS)):
        topic = names.output("enforcement")
        records = (await read_all(address, [topic], count)).of(topic)
        counts.append(len(records))
        for record in records:
            found.setdefault((record.key or b"").decode(), []).append(record.value)
    print(f"{counts} decisions before and after")
    for tenant in sorted(found.keys() | expected.keys()):  # at one instant a replay sorts otherwise
        assert sorted(found.get(tenant, [])) == sorted(expected.get(tenant, [])), tenant
    assert min(counts) > 3
