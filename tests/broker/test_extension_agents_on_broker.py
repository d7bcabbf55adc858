"""Agents from another package in real workers that are killed: each decision and alert arrives at least once."""

import asyncio
import json
from pathlib import Path

import pytest
from deadlines import deadline
from test_worker_life import environment, names_of_our_own
from worker_judge import assert_exact, read_all
from worker_processes import PARTITIONS, fleet_of, wait_for
from worker_traffic import Day, Sender, make_topics, policy_file, sender_to

from monitor.partition.checkpoint import DecidingSettings
from monitor.policy.load import load

pytestmark = pytest.mark.services

# `writes` blocks, and fails on its first batch; `hangs` never handles anything.
_HOUSE = """
import os, threading, time

failed = False

async def writes(batches):
    global failed
    async for batch in batches:
        for record in batch.records:
            time.sleep(0.01)
            name = record.id if batch.topic == "enforcement" else record.alert_id
            with open(os.environ["HOUSE_FILE"], "a") as file:
                file.write(f"{os.getpid()} {batch.topic} {batch.partition} {name}\\n")
        if not failed:
            failed = True
            raise ValueError("the CRM is away")

async def hangs(batches):
    async for batch in batches:
        threading.Event().wait()
"""
_IDLE_AFTER_S = 2


async def test_each_committed_decision_and_alert_reaches_an_agent_although_workers_are_killed(
    address: str, tmp_path: Path
) -> None:
    house = tmp_path / "house"
    (house / "house-1.0.dist-info").mkdir(parents=True)
    (house / "house.py").write_text(_HOUSE)
    (house / "house-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: house\nVersion: 1.0\n")
    points = "[callwarden.agents]\nwrites = house:writes\nhangs = house:hangs\n"
    (house / "house-1.0.dist-info" / "entry_points.txt").write_text(points)
    written = tmp_path / "written"
    written.touch()
    names, policy = names_of_our_own(), policy_file(tmp_path)
    variables = environment(
        address,
        names,
        CALLWARDEN_POLICY=str(policy),
        CALLWARDEN_IDLE_AFTER=f"{_IDLE_AFTER_S}s",
        CALLWARDEN_OUTAGE_GRACE="1s",
        CALLWARDEN_SESSION_TIMEOUT="6s",
        PYTHONPATH=str(house),
        HOUSE_FILE=str(written),
    )
    await asyncio.to_thread(make_topics, variables)
    day = Day(3, pieces=2, tenants=60, calls=4_000, partitions=PARTITIONS, late_share=0.0)
    outputs = [names.output("enforcement"), names.output("alerts")]

    def received() -> set[tuple[str, str]]:
        return {(line.split()[1], line.split()[3]) for line in written.read_text().splitlines() if line.count(" ") == 3}

    async def written_by_workers() -> set[tuple[str, str]]:
        logs = await read_all(address, outputs, PARTITIONS)
        made = {("enforcement", _id(record.value, "id")) for record in logs.of(outputs[0])}
        return made | {("alerts", _id(record.value, "alert_id")) for record in logs.of(outputs[1])}

    with fleet_of(tmp_path, variables) as fleet:
        first, second = fleet.add(), fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(address) as producer:
            sender = Sender(producer, names)
            await sender.send(day.pieces[0])
            await asyncio.to_thread(wait_for, lambda: len(received()) > 3, "the agent receives decisions")
            first.kill()
            await sender.send(day.pieces[1])
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        await asyncio.to_thread(wait_for, lambda: all(w.lag() == 0 for w in fleet.running), "all records are read")
        async with deadline("the agent receives more than 20 decisions and alerts, and all there are"):
            while len(made := await written_by_workers()) <= 20 or made - received():
                await asyncio.sleep(1)
        for worker in list(fleet.running):
            assert await asyncio.to_thread(worker.terminate) == 0, "an agent that hangs does not keep a worker"
        assert second.times_said("an agent failed; it receives the batch again") >= 1
    live = DecidingSettings(idle_after_ms=1000 * _IDLE_AFTER_S, outage_grace_ms=1000)
    # Sources are silent between the pieces: a record that comes then may be decided at its source's clock.
    await assert_exact(address, names, load(str(policy)), live, PARTITIONS, unknown_reviews=True)


def _id(value: bytes | None, field: str) -> str:
    found: str = json.loads(value or b"{}")[field]
    return found
