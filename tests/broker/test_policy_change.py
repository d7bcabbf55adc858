"""A policy change in the middle of a day's traffic, with workers killed -9 around it: the decisions are exact."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from worker_judge import assert_exact, read_all
from worker_platform import LIVE, Platform, drain
from worker_processes import MAIN, PARTITIONS, fleet_of
from worker_traffic import Day, Sender, Sent, sender_to

from helpers.patience import PATIENCE_S, WAIT
from monitor.partition.journal import PolicyChange, PolicyWithdrawal
from monitor.policy.load import load
from monitor.policy.timeline import next_change_ms
from streams.topics.transaction_records import decode_journal_entry, is_tick


def callwarden(environment: Mapping[str, str], *arguments: str, status: int = 0) -> str:
    """The output of the command, which must end with that exit status."""
    command = [sys.executable, "-c", MAIN, *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr * bool(status)


def stricter(policy: Path) -> Path:
    """Another policy: one rule less, lower thresholds, and a rule over a call length that has not been counted."""
    text = policy.read_text("utf-8")
    path = policy.with_name("stricter.yaml")
    assert "min_denominator: 100" in text
    text = text.replace("min_denominator: 100", "min_denominator: 40").replace("version: ", "version: later-", 1)
    path.write_text(text, "utf-8")
    return path


def middle(piece: Sequence[Sent]) -> int:
    """A time in the middle of a piece's calls at which policies can change."""
    times = [
        json.loads(one.value)["end_ms"] for one in piece if one.value and not one.mark and b'"end_ms"' in one.value
    ]
    return next_change_ms(sorted(times)[len(times) // 2])


def withdraw_the_wrong_one(environment: Mapping[str, str], later: Path, from_ms: int) -> None:
    """A policy scheduled in ten days prevents an earlier change until it is withdrawn."""
    wrong, another = later.with_name("wrong.yaml"), later.with_name("another.yaml")
    for path in (wrong, another):
        path.write_text(later.read_text("utf-8").replace("version: ", f"version: {path.stem}-", 1), "utf-8")
    far_ms = next_change_ms(time.time_ns() // 1_000_000 + 10 * 86_400_000)
    odd = later.with_name("odd.yaml")
    odd.write_text(
        'id: odd\nversion: "1"\nrules:\n- {id: r, behaviour: blind_calling, metric: distinct_callee_ratio, above: 30, '
        "window: 1h, step: 1h, mode: shadow}\n"
    )
    shown = callwarden(environment, "policy", "apply", str(odd), "--dry-run", "--no-preview")
    assert "note: rule r: distinct_callee_ratio is never above 30" in shown
    apply = "policy", "apply", "--reason", "r", "--yes", "--wait", WAIT
    callwarden(environment, *apply, str(wrong), "--from", str(far_ms))
    assert callwarden(environment, "policy", "status").count(", scheduled") == PARTITIONS
    refused = callwarden(environment, *apply, str(another), "--from", str(far_ms - 1_000), status=2)
    assert "is scheduled from" in refused
    withdraw = "policy", "withdraw", "--yes", "--wait", WAIT
    withdrawn = callwarden(environment, *withdraw, "--reason", "it was the wrong file")
    assert withdrawn.count("continues under") == PARTITIONS
    assert "nothing to do" in callwarden(environment, *withdraw, "--reason", "r")


@pytest.mark.services
async def test_a_policy_changes_once_in_every_partition_while_workers_are_killed(
    platform: Platform, tmp_path: Path
) -> None:
    day = Day(seed=11, pieces=6, tenants=60, calls=20_000, partitions=PARTITIONS)
    environment = platform.environment
    later, from_ms = stricter(platform.policy), middle(day.pieces[5])
    with fleet_of(tmp_path, environment) as fleet:
        fleet.add()
        fleet.add()
        await asyncio.to_thread(fleet.settle)
        async with sender_to(platform.node.address) as producer:
            sender = Sender(producer, platform.names)
            for piece in day.pieces[:4]:
                await sender.send(piece)
            printed = asyncio.to_thread(
                callwarden,
                environment,
                "policy",
                "apply",
                str(later),
                "--from",
                str(from_ms),
                "--reason",
                "test, ask 13912345678",
                "--yes",
                "--wait",
                WAIT,
            )
            telling = asyncio.create_task(printed)
            await sender.send(day.pieces[4])
            assert fleet.running[0].kill() == -9
            fleet.add()
            impact = await telling
            await sender.send(day.pieces[5])
            assert fleet.running[0].kill() == -9
            fleet.add()
            await drain(fleet, sender, day.calls_now)
        await asyncio.to_thread(withdraw_the_wrong_one, environment, later, from_ms)
        for worker in fleet.running:
            await asyncio.to_thread(worker.terminate)
    assert "would change tier" in impact

    old, new = load(str(platform.policy)), load(str(later))
    await assert_exact(platform.node.address, platform.names, old, LIVE, PARTITIONS, unknown_reviews=True)
    clock, enforcement = platform.names.output("clock"), platform.names.output("enforcement")
    logs = await read_all(platform.node.address, [clock, enforcement], PARTITIONS)
    for number in range(PARTITIONS):
        journal = [decode_journal_entry(one.value)[1] for one in logs.records[clock, number] if not is_tick(one.value)]
        switches = [(entry.from_ms, entry.sha256, entry.reason) for entry in journal if isinstance(entry, PolicyChange)]
        wanted = [(0, old.sha256, ""), (from_ms, new.sha256, "test, ask •••••••••78")]
        assert switches[:2] == wanted, f"partition {number}"
        (wrong,) = switches[2:]
        withdrawn = [entry for entry in journal if isinstance(entry, PolicyWithdrawal)]
        assert [(one.from_ms, one.sha256, one.reason) for one in withdrawn] == [(*wrong[:2], "it was the wrong file")]
    decided = [json.loads(record.value)["data"] for record in logs.of(enforcement)]
    by_new = [one for one in decided if one["decided_ms"] >= from_ms]
    assert by_new
    assert all((one["policy"]["sha256"] == new.sha256) == (one["decided_ms"] >= from_ms) for one in decided)
    status = callwarden(environment, "policy", "status")
    assert status.count(new.sha256[:12]) == status.count("test, ask •••••••••78") == PARTITIONS
    assert status.count("withdrawn, was scheduled from") == status.count("it was the wrong file") == PARTITIONS
