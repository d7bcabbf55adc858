"""A policy is proposed in the console by one person and approved by another; the workers apply it at its event time.

The console is killed with -9 around the sending: each partition gets the command once.
"""

import asyncio
import json
import os
import random
import time
import uuid
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from deadlines import deadline
from msgspec.json import decode
from sqlalchemy import Connection
from test_console_killed import Console
from worker_judge import read_all
from worker_processes import PARTITIONS, callwarden, fleet_of
from worker_traffic import Day, Sender, Sent, likely_ban, make_topics, policy_file, sender_to

from monitor.partition.journal import PolicyChange
from monitor.policy.load import load, loads
from monitor.policy.timeline import next_change_ms
from monitor.simulate.settings import DAY_MS
from schemas.outputs import Enforcement, EnforcementData
from streams.console.identity.users import Role, User
from streams.console.policies import drafts, reports, requests
from streams.console.policies.checker import CheckRequest, check
from streams.console.policies.in_force import PoliciesInForce
from streams.console.policies.proposals import Approval, PolicyProposals
from streams.console.policies.requests import RequestedChange
from streams.consumers.database import Database
from streams.kafka.topic_names import TopicNames
from streams.settings.load import load as load_settings
from streams.topics.control_topic import PolicyCommand, decode_command
from streams.topics.transaction_records import decode_journal_entry, is_tick

pytestmark = pytest.mark.services

LI = User("local:li", "Li", frozenset({Role.POLICY_OWNER}))
CHEN = User("local:chen", "Chen", frozenset({Role.POLICY_OWNER}))
KILLS = 2


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def middle(piece: list[Sent]) -> int:
    """A time in the middle of a piece's calls at which policies can change."""
    times = [
        json.loads(one.value)["end_ms"] for one in piece if one.value and not one.mark and b'"end_ms"' in one.value
    ]
    return next_change_ms(sorted(times)[len(times) // 2])


async def test_a_policy_of_two_persons_applies_once_at_its_event_time(address: str, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng, own = random.Random(seed), uuid.uuid4().hex[:8]
    names, url = TopicNames(f"{own}.in.", f"{own}.out."), f"sqlite:///{tmp_path / 'console.db'}"
    held = policy_file(tmp_path)
    environment = {
        "CALLWARDEN_BOOTSTRAP_SERVERS": address,
        "CALLWARDEN_INPUT_PREFIX": names.input_prefix,
        "CALLWARDEN_OUTPUT_PREFIX": names.output_prefix,
        "CALLWARDEN_APPLICATION_ID": f"app-{own}",
        "CALLWARDEN_POLICY": str(held),
        "CALLWARDEN_IDLE_AFTER": "3s",
        "CALLWARDEN_OUTAGE_GRACE": "26h",
        "CALLWARDEN_CONSOLE_DATABASE": url,
    }
    await asyncio.to_thread(make_topics, environment)
    day = Day(seed=11, pieces=3, tenants=60, calls=4_000, partitions=PARTITIONS)
    text = held.read_text("utf-8").replace("min_denominator: 100", "min_denominator: 40")
    text = text.replace("version: ", "version: later-", 1)
    old, new, from_ms = load(str(held)), loads(text, "f"), middle(day.pieces[2])
    console, database = Console(tmp_path / "log", {**os.environ, **environment}), Database(
        url, "console", package="streams.console"
    )  # fmt: skip
    policies = PoliciesInForce(load_settings({"policy": str(held)}))
    try:
        async with sender_to(address) as producer:
            sender = Sender(producer, names)
            # It waits in its topic before a worker runs: nothing of its source can be silent before it, so it is
            # decided at its own time. A finding after a silence is decided at the time of the broker's clock.
            await sender.send([likely_ban("early", from_ms - DAY_MS), *day.pieces[0]])
            with fleet_of(tmp_path, environment) as fleet:
                fleet.add()
                console.start()
                await asyncio.to_thread(fleet.settle)
                await console.ready()
                proposal = await database.run(partial(propose, policies=policies, text=text, from_ms=from_ms))
                await database.run(partial(approve, policies=policies, proposal=proposal))
                for _ in range(KILLS):
                    await asyncio.sleep(rng.uniform(0, 1.5))
                    assert console.child is not None
                    console.child.kill()
                    console.start()
                await console.ready()
                await answered(database)
                await sender.send(day.pieces[1])
                await sender.send(day.pieces[2])
                found = await decided(address, names, sender, day)
        wanted = [old.sha256 if each.decided_ms < from_ms else new.sha256 for each in found]
        assert [each.policy.sha256 for each in found] == wanted
        assert {old.sha256, new.sha256} == set(wanted)
        await written_once(address, names, new.sha256, from_ms)
        await history_shows_it(database, policies, new.sha256)
        said = await asyncio.to_thread(callwarden, environment, "policy", "status")
        assert said.count("(local:li + local:chen: as agreed)") == PARTITIONS
    finally:
        database.close()
        if console.child is not None:
            console.child.kill()


def propose(connection: Connection, policies: PoliciesInForce, text: str, from_ms: int) -> str:
    """Li proposes the file."""
    checked = check(CheckRequest(text, now_ms())).policy
    assert checked is not None
    draft = drafts.create(connection, LI, text, "later", now_ms())
    wanted = RequestedChange("apply", (checked.sha256,), from_ms, "as agreed")
    proposal = PolicyProposals(policies, True, 0).propose(connection, LI, draft, checked, wanted, now_ms())
    assert proposal is not None
    return proposal


def approve(connection: Connection, policies: PoliciesInForce, proposal: str) -> None:
    """Chen approves it."""
    seen = policies.newest(connection).sha256
    given = Approval(seen, "fine", without_preview=True)
    PolicyProposals(policies, True, 0).approve(connection, CHEN, proposal, given, now_ms())


async def answered(database: Database) -> None:
    """Wait until the console knows that every partition has taken it."""
    async with deadline("each partition has taken the policy"):
        while True:
            with database.reading() as connection:
                [one] = requests.newest(connection)
            if one.is_done and len(one.answers) == PARTITIONS:
                return
            await asyncio.sleep(0.3)


async def decided(address: str, names: TopicNames, sender: Sender, day: Day) -> list[EnforcementData]:
    """The decisions, once the first and the last finding are decided."""
    topic = names.output("enforcement")
    async with deadline("the first and the last finding are decided"):
        for number in count():
            await sender.send(day.calls_now(number))
            logs = await read_all(address, [topic], PARTITIONS)
            events = [decode(record.value, type=Enforcement).data for record in logs.of(topic)]
            if {"early", "found-2"} <= {event.tenant_id for event in events}:
                return events
            await asyncio.sleep(1)
    raise AssertionError


async def written_once(address: str, names: TopicNames, sha256: str, from_ms: int) -> None:
    """Each partition has one command and one change, at the time that was chosen."""
    control, clock = names.output("control"), names.output("clock")
    logs = await read_all(address, [control, clock], PARTITIONS)
    given = [decode_command(record.value) for record in logs.of(control)]
    assert [type(each) for each in given] == [PolicyCommand] * PARTITIONS
    for number in range(PARTITIONS):
        journal = [decode_journal_entry(one.value)[1] for one in logs.records[clock, number] if not is_tick(one.value)]
        changes = [entry for entry in journal if isinstance(entry, PolicyChange) and entry.sha256 == sha256]
        assert [(one.from_ms, one.by, one.reason) for one in changes] == [
            (from_ms, "local:li + local:chen", "as agreed")
        ], f"partition {number}"


async def history_shows_it(database: Database, policies: PoliciesInForce, sha256: str) -> None:
    """The console's history has it, in all partitions."""

    def read(connection: Connection) -> Any:
        return reports.standing_changes(connection, policies, now_ms())

    shown = [one for one in await database.run(read) if one.policy.sha256 == sha256]
    assert [one.change.partitions for one in shown] == [tuple(range(PARTITIONS))]
    assert Counter(one.change.given_by for one in shown) == {"local:li + local:chen": 1}
