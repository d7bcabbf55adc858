"""The state is rescaled to topics with another number of partitions: before and after, decisions equal one replay.

The audits of both sides, billing and the ledger confirm it, in the order of docs/guides/upgrades.md.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.structs import ConsumerRecord
from deadlines import deadline
from rescale_consumers import Consumers
from worker_judge import read_all
from worker_platform import Platform
from worker_processes import MAIN, PARTITIONS, fleet_of, wait_for
from worker_traffic import LATENESS_S, Day, Sender, Sent, likely_ban, sender_to

from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from monitor.replay.run import replay
from oracle import billing as oracle
from schemas import codec
from streams.kafka.admin import members
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_names import TopicNames
from streams.runtime.child_process import ChildProcess
from streams.settings.load import load as load_settings
from streams.topics.state_topic import part_of

_PANE_MS = 300_000
_PATIENCE_S = LATENESS_S + 10  # after that time a current call closes the windows of older calls
NEW = TopicNames("new-in.", "new-out.")
NEW_PARTITIONS = 5
LAST = ("last-0", "last-1")
_CALLS, _REVIEWS = INPUTS.index("cdr"), INPUTS.index("reviews")
TO = ["--to-input-prefix", NEW.input_prefix, "--to-output-prefix", NEW.output_prefix, "--to-application-id", "moved"]


def callwarden(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `callwarden` to its end."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


def killed_after(lines: int, then_s: float, log: Path, environment: Mapping[str, str]) -> list[str]:
    """Kill a rescale shortly after that many lines of output; return the output."""
    with log.open("wb") as output:
        attempt = ChildProcess(
            [sys.executable, "-c", MAIN, "state", "move", *TO], output, {**os.environ, **environment}
        )
    wait_for(lambda: len(log.read_text().splitlines()) >= lines or not attempt.running, f"{lines} lines are logged")
    time.sleep(then_s)
    attempt.kill()
    return log.read_text().splitlines()


def day_of(seed: int) -> tuple[list[Sent], list[str]]:
    """A simulated day without late records. Records other than calls come first, and wait for the calls.

    Also returns the tenants that are held until a review. The decision about `LAST` is made at the end of the day.
    """
    day = Day(seed, pieces=1, tenants=60, calls=12_000, partitions=PARTITIONS, late_share=0)
    well = [one for one in day.pieces[0] if not one.mark and one.value is not None]
    calls = [one for one in well if one.source == _CALLS]
    times_ms = [int(json.loads(one.value or b"")["end_ms"]) for one in calls]
    at_ms, end_ms = min(times_ms) + 60_000, max(times_ms)
    waiting = [f"held-{number}" for number in range(3)]
    others = [one for one in well if one.source != _CALLS] + [likely_ban(tenant, at_ms) for tenant in waiting]
    others += [likely_ban(tenant, end_ms) for tenant in LAST]
    others.sort(key=lambda one: int(json.loads(one.value or b"")["updated_ms"]))
    return [*others, *calls], waiting


def last_calls(tenants: Iterable[bytes]) -> list[Sent]:
    """A current call in each of the new partitions."""
    now_ms = time.time_ns() // 1_000_000
    call: dict[str, object] = {"type": "cdr", "direction": "outbound", "caller": "caller", "callee": "callee"}
    call |= {"outcome": "no_answer", "call_id": "last", "start_ms": now_ms - 1000, "end_ms": now_ms}
    homes = {partition_of(key, NEW_PARTITIONS, "murmur2"): key for key in tenants}
    assert len(homes) == NEW_PARTITIONS, "some partition has no tenant; expected another seed"
    return [
        Sent(_CALLS, number, key, json.dumps(call | {"tenant_id": key.decode()}).encode())
        for number, key in homes.items()
    ]


def replayed(platform: Platform, day: Sequence[Sent], folder: Path) -> dict[str, list[tuple[int, bytes]]]:
    """The decisions of one replay of all these records, by tenant, each with its time."""
    files = [folder / f"{name}.jsonl" for name in INPUTS]
    for source, path in enumerate(files):
        path.write_bytes(b"".join((one.value or b"") + b"\n" for one in day if one.source == source))
    whole = replay([file for file in files if file.stat().st_size], load(str(platform.policy)))
    assert whole.late == []
    events: dict[str, list[tuple[int, bytes]]] = {}
    for event in whole.enforcement:
        events.setdefault(event.subject, []).append((event.data.decided_ms, codec.encode(event)))
    return events


def fine(done: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that succeeded."""
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def compared(done: subprocess.CompletedProcess[str]) -> int:
    """The number of decisions that an audit confirmed; it must confirm all."""
    report = json.loads(fine(done))
    return sum(int(one["enforcement"]["same"]) for one in report["partitions"])


def cases(done: subprocess.CompletedProcess[str]) -> dict[str, tuple[str, str]]:
    """The latest case of each tenant in `reviews list --json`: its id and current status."""
    decisions = json.loads(fine(done))["decisions"]
    return {one["data"]["tenant_id"]: (one["enforcement_id"], one["status"]) for one in decisions}


def judged_since(decisions: Sequence[ConsumerRecord], reviewed: Iterable[str]) -> bool:
    """Whether the latest decisions are among them: what the reviews led to, and the decisions about `LAST`."""
    events = [json.loads(one.value) for one in decisions]
    ended = {event["data"][field] for event in events for field in ("supersedes", "reverses")}
    return ended >= set(reviewed) and {event["subject"] for event in events} >= set(LAST)


async def watermarks(address: str) -> list[int]:
    """The watermark of each of the new partitions."""
    cluster = KafkaCluster(load_settings({"bootstrap_servers": address}))
    try:
        parts = [await part_of(cluster, NEW, number) for number in range(NEW_PARTITIONS)]
    finally:
        await cluster.stop()
    return [part.judged.watermark_ms if part.judged else 0 for part in parts]


async def at_work(address: str, group: str) -> int:
    """The number of workers in the consumer group."""
    cluster = KafkaCluster(load_settings({"bootstrap_servers": address}))
    try:
        return await members(cluster.questions, group)
    finally:
        await cluster.stop()


@pytest.mark.services
async def test_a_move_with_kills_at_any_step_loses_and_repeats_nothing(platform: Platform, tmp_path: Path) -> None:
    seed = int(os.environ.get("CALLWARDEN_TEST_SEED") or random.randrange(10**6))
    print(f"CALLWARDEN_TEST_SEED={seed}")
    chooser = random.Random(seed)
    day, held = day_of(seed)
    cut = chooser.randrange(len(day) // 3, 2 * len(day) // 3)
    consumers = Consumers(tmp_path)
    address, old = platform.node.address, platform.environment | consumers.settings
    new = {
        **old,
        "CALLWARDEN_INPUT_PREFIX": NEW.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": NEW.output_prefix,
        "CALLWARDEN_APPLICATION_ID": "moved",
    }
    export = tmp_path / "state.zst"

    async def run(environment: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(callwarden, environment, *arguments)

    async def decisions(names: TopicNames, count: int) -> list[ConsumerRecord]:
        topic = names.output("enforcement")
        return (await read_all(address, [topic], count)).of(topic)

    async with sender_to(address) as producer:
        with fleet_of(tmp_path, old) as fleet:
            workers = [fleet.add() for _ in range(2)]
            await asyncio.to_thread(fleet.settle)
            await Sender(producer, platform.names).send(day[: cut // 2])
            async with deadline("three tenants are held until a review"):
                while not set(held) <= {one.key.decode() for one in await decisions(platform.names, PARTITIONS)}:
                    await asyncio.sleep(0.5)
            with consumers.following(old):
                waiting = cases(await run(old, "reviews", "list", "--json"))
            # This is far ahead of the calls' clocks, so the review is carried over.
            overturned, upheld, left = [waiting[tenant][0] for tenant in held]
            fine(await run(old, "reviews", "overturn", overturned, "--reason", "no", "--wait", "0"))
            await Sender(producer, platform.names).send(day[cut // 2 : cut])
            assert "expected no running workers, got 2 in the group" in (await run(old, "state", "move", *TO)).stderr
            assert workers[0].kill() == -9
            assert await asyncio.to_thread(workers[1].terminate) in (0, 1)

        sizes = {"CALLWARDEN_PARTITIONS": str(NEW_PARTITIONS), "CALLWARDEN_REPLICATION_FACTOR": "1"}
        made, before = await asyncio.gather(run({**new, **sizes}, "topics", "create"), run(old, "audit", "--json"))
        fine(made)
        assert compared(before) >= len(held)
        async with deadline("the group drops the killed member"):
            while await at_work(address, old["CALLWARDEN_APPLICATION_ID"]):
                await asyncio.sleep(0.5)
        for lines in range(3):
            said = await asyncio.to_thread(killed_after, lines, chooser.uniform(0, 1), tmp_path / "move.log", old)
            print(f"killed after {said[-1:]}")
        print(fine(await run(old, "state", "move", *TO)))
        fine(await run(new, "state", "export", "--out", str(export)))
        with consumers.following(old):
            after = await run(old, "audit", "--json")
        fine(await run(new, "reviews", "uphold", upheld, "--reason", "heard", "--wait", "0"))
        reviewed_s = time.monotonic()

        with fleet_of(tmp_path, old) as fleet:
            late_comer = fleet.add()
            what = "a worker on the former topics refuses all"
            await asyncio.to_thread(wait_for, lambda: len(late_comer.owned("refused")) == PARTITIONS, what)
            assert await asyncio.to_thread(late_comer.terminate) == 0
        former = await decisions(platform.names, PARTITIONS)
        assert compared(after) == len(former)

        (tmp_path / "new").mkdir()
        tenants = {one.key.decode() for one in day}
        with consumers.following(new), fleet_of(tmp_path / "new", new) as fleet:
            holds = oracle.holds(record.value for record in former)
            assert await asyncio.to_thread(consumers.holds, tenants) == holds, "all that was held before"
            assert set(held) <= holds.keys()
            workers = [fleet.add() for _ in range(2)]
            await asyncio.to_thread(
                wait_for, lambda: sum(len(one.owned()) for one in workers) == NEW_PARTITIONS, "all partitions are run"
            )
            rest = [replace(one, partition=partition_of(one.key, NEW_PARTITIONS, "murmur2")) for one in day[cut:]]
            await Sender(producer, NEW).send(rest[: len(rest) // 2])
            assert workers[0].kill() == -9
            await Sender(producer, NEW).send(rest[len(rest) // 2 :])
            await asyncio.sleep(max(0, reviewed_s + _PATIENCE_S - time.monotonic()))
            last = last_calls({one.key for one in day})
            await Sender(producer, NEW).send(last)
            # The stored watermark advances only when a pane has ended.
            wanted = (int(json.loads(last[-1].value or b"")["end_ms"]) - 1000 * _PATIENCE_S) // _PANE_MS * _PANE_MS
            async with deadline("all is judged"):
                while min(await watermarks(address)) < wanted:
                    await asyncio.sleep(1)
            # That watermark may precede the reviews and the end of the day, and each partition has its own.
            async with deadline("what came since is judged, too"):
                while not judged_since(await decisions(NEW, NEW_PARTITIONS), (overturned, upheld)):
                    await asyncio.sleep(0.5)
            assert await asyncio.to_thread(workers[1].terminate) == 0
            since = await decisions(NEW, NEW_PARTITIONS)
            back = await run(old, "state", "move", *TO, "--undo")
            assert back.returncode == 2
            assert "workers have continued with new-out.state-0" in back.stderr
            await asyncio.to_thread(consumers.catch_up)
            both = [record.value for record in (*former, *since)]
            assert await asyncio.to_thread(consumers.holds, tenants) == oracle.holds(both)
        whole, bare, verified, shown = await asyncio.gather(
            run(new, "audit", "--json", "--state", str(export)),
            run(new, "audit", "--json"),
            run(new, "ledger", "verify", "--with-topics"),
            run(new, "reviews", "list", "--status", "all", "--json"),
        )
        reviews = (await read_all(address, [NEW.inputs[_REVIEWS]], NEW_PARTITIONS)).of(NEW.inputs[_REVIEWS])

    assert compared(whole) == len(since)
    assert bare.returncode == 1, "what was carried over is in no record of the new topics"
    report = json.loads(bare.stdout)
    assert report["differences"] == []
    assert all("was moved here" in why for one in report["partitions"] for why in one["unchecked"])
    assert [len(one["unchecked"]) for one in report["partitions"]] == [1] * NEW_PARTITIONS
    assert "cannot be read" not in fine(verified)
    known = dict(cases(shown).values())
    assert (known[overturned], known[left]) == ("reversed", "pending")
    assert cases(shown)[held[1]][1] == "final"
    simulated = {one.value for one in day}
    ours = [Sent(_REVIEWS, one.partition, one.key, one.value) for one in reviews if one.value not in simulated]
    assert len(ours) == 2, "one that was carried over, one of since"
    judged = await watermarks(address)
    expected = {
        tenant: [event for at_ms, event in events if at_ms <= judged[partition_of(tenant.encode(), 5, "murmur2")]]
        for tenant, events in replayed(platform, [*day, *last, *ours], tmp_path).items()
    }
    found: dict[str, list[bytes]] = {}
    for record in (*former, *since):
        found.setdefault((record.key or b"").decode(), []).append(record.value)
    print(f"{len(former)} and {len(since)} decisions before and after")
    for tenant in sorted(found.keys() | expected.keys()):  # at the same instant a replay orders decisions differently
        assert sorted(found.get(tenant, [])) == sorted(expected.get(tenant, [])), tenant
    assert min(len(former), len(since)) > 3
