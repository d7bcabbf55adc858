"""A policy changes while workers are killed: each event is decided under the policy of its time, as in a replay."""

import json
import random
from collections.abc import Sequence
from itertools import count

import msgspec
import pytest

from crash.broken import BETWEEN, SWITCH_BROKEN, WITHDRAWAL_BROKEN, Change, broken
from crash.log import Record
from crash.scenarios import (
    CONTROL,
    HOUR,
    MINUTE,
    NOON,
    POLICY,
    an_hour_of_calls,
    journal_entries,
    lose_state,
    phase,
    play,
    until,
    world_of,
    wrong,
)
from crash.traffic import NAMES
from crash.virtual import Process
from crash.world import World
from helpers.thorough import thorough
from monitor.partition.journal import PolicyChange, PolicyWithdrawal, RefusedCommand
from monitor.policy.load import loads, to_plain
from monitor.policy.model import Policy
from streams.kafka.api import TP
from streams.topics.control_topic import PolicyCommand, WithdrawCommand
from streams.worker.context import OwnedPhase

PLAIN = to_plain(POLICY)
RULE = PLAIN["rules"][0]
# The same rule over another call length, which has not been counted yet, and one beside it.
STRICTER = RULE | {"min_denominator": 2, "with": {"short_call_s": 3.5}}
BESIDE = {"id": "many", "behaviour": "no_consent", "metric": "attempts", "above": 2, "window": "5m", "step": "5m"}
LATER = loads(json.dumps(PLAIN | {"version": "2", "rules": [STRICTER, BESIDE]}), "policy.json")
FROM = NOON + 20 * MINUTE
THE_END = NOON + 150 * MINUTE  # an hour and a half after the last call: longer than the grace period
POINTS = ("commit.begin!", "commit.produce!", "commit.end?", "commit.end!", "read!", "writer.start!")


def tell(world: World, policy: Policy = LATER, from_ms: int = FROM) -> None:
    command = PolicyCommand(to_plain(policy), policy.sha256, from_ms, "for the test", "ops-1", 1)
    world.broker.append(CONTROL, Record(b"0", msgspec.json.encode(command)))


def take_back(world: World, policy: Policy) -> None:
    command = WithdrawCommand((policy.sha256,), "the wrong file", "ops-2", 2)
    world.broker.append(CONTROL, Record(b"0", msgspec.json.encode(command)))


def policy_changes(world: World) -> list[tuple[int, str]]:
    """The recorded policy changes in order; a minus marks a withdrawal."""
    entries = [entry for _, entry in journal_entries(world) if isinstance(entry, PolicyChange | PolicyWithdrawal)]
    return [(entry.from_ms, "-" * isinstance(entry, PolicyWithdrawal) + entry.sha256) for entry in entries]


def versions(world: World) -> list[tuple[int, str]]:
    entries = world.broker.logs[TP(NAMES.output("enforcement"), 0)].committed(0)
    events = [json.loads(entry.record.value or b"")["data"] for entry in entries if entry.record is not None]
    return [(event["decided_ms"], event["policy"]["version"]) for event in events]


def deaths_of(seed: int) -> list[tuple[str, int]]:
    """Points at which a worker is killed, each with the number of times it passes before."""
    rng = random.Random(seed)
    return [(rng.choice(POINTS), rng.randint(0, 5)) for _ in range(4)]


def changed(
    seed: int, deaths: list[tuple[str, int]], changes: Sequence[Change] = (), first: Policy | None = None
) -> list[str]:
    """Calls every five minutes and a policy change at twenty past; a worker is killed at each of the ``deaths`` in
    turn.

    ``first`` is a policy that was scheduled for the same time and is withdrawn. Returns the differences at the end.
    """
    world = world_of(seed, grace_ms=HOUR, speed=60.0)
    an_hour_of_calls(world)
    found: list[str] = []

    def passing(process: Process, point: str) -> None:
        if deaths and point == deaths[0][0] and NOON + 12 * MINUTE < world.clock.now_ms() < NOON + 80 * MINUTE:
            deaths[0] = (point, deaths[0][1] - 1)
            if deaths[0][1] < 0:
                deaths.pop(0)
                world.workers[-1].kill()
                world.add_worker()

    async def go() -> None:
        world.passing = passing  # type: ignore[method-assign]  # kills workers on the way
        world.add_worker()
        await until(world, NOON + 13 * MINUTE)
        if first is not None:
            tell(world, first)
            await until(world, NOON + 15 * MINUTE)
            take_back(world, first)
        tell(world)
        await until(world, THE_END)
        found.extend(wrong(world))
        if changes:
            return
        withdrawn = [] if first is None else [(FROM, first.sha256), (FROM, f"-{first.sha256}")]
        assert policy_changes(world) == [(0, POLICY.sha256), *withdrawn, (FROM, LATER.sha256)]
        decided = versions(world)
        assert {version for at_ms, version in decided if at_ms < FROM} == {"1"}
        assert {version for at_ms, version in decided if at_ms >= FROM} == {"2"}

    with broken(changes):
        logs = play(world, go)
    if not changes:
        lines = [line for line in logs if line["event"] == "another policy is scheduled"]
        reported = [line["judged_later_ms"] for line in lines if line["policy"] == LATER.sha256[:12]]
        assert reported
        assert all(later == {"short": FROM + 5 * MINUTE} for later in reported), "calls of 3.5 s were not counted"
    return found


@pytest.mark.parametrize("seed", thorough(range(10), 1))
def test_a_policy_holds_from_its_time_on_wherever_a_worker_dies(seed: int) -> None:
    assert changed(seed, deaths_of(seed)) == []


def found(changes: Sequence[Change], first: Policy | None = None) -> bool:
    """Whether one kill reveals the mutation: between split transactions, or else after a commit, each in turn."""
    point = BETWEEN if any(BETWEEN in change.new for change in changes) else "commit.end!"
    for passed in count():
        deaths = [(point, passed)]
        if changed(0, deaths, changes, first):
            return True
        if deaths:
            return False  # the point was passed fewer times
    raise AssertionError


@pytest.mark.parametrize("name", SWITCH_BROKEN)
def test_a_broken_change_of_policy_is_found(name: str) -> None:
    assert found(SWITCH_BROKEN[name])


WRONG = loads(json.dumps(PLAIN | {"version": "wrong", "rules": [RULE | {"above": 0.99}]}), "policy.json")


@pytest.mark.parametrize("seed", thorough(range(8), 1))
def test_a_withdrawn_policy_decides_nothing_wherever_a_worker_dies(seed: int) -> None:
    assert changed(seed, deaths_of(seed), first=WRONG) == []


@pytest.mark.parametrize("name", WITHDRAWAL_BROKEN)
def test_a_broken_withdrawal_is_found(name: str) -> None:
    assert found(WITHDRAWAL_BROKEN[name], WRONG)


def test_a_policy_in_effect_is_not_withdrawn_and_a_later_one_is() -> None:
    world = world_of(grace_ms=HOUR, speed=60.0)
    an_hour_of_calls(world)
    far = loads(json.dumps(PLAIN | {"version": "far"}), "policy.json")

    async def go() -> None:
        world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        tell(world)
        tell(world, WRONG, FROM + 30 * MINUTE)
        tell(world, far, FROM + 40 * MINUTE)
        await until(world, NOON + 35 * MINUTE)
        take_back(world, LATER)
        take_back(world, WRONG)
        take_back(world, WRONG)
        await until(world, THE_END)
        assert wrong(world) == []
        assert policy_changes(world)[3:] == [(FROM + 40 * MINUTE, far.sha256), (FROM + 30 * MINUTE, f"-{WRONG.sha256}")]
        assert {version for _, version in versions(world)} == {"1", "2", "far"}

    logs = play(world, go)
    refused = [line["why"] for line in logs if line["event"] == "command refused"]
    assert [reason.split(":")[0] for reason in refused] == [
        "records were already judged or found late under it",
        "no such policy is scheduled",
    ]


def test_a_command_that_was_refused_is_not_taken_when_a_lost_state_is_recreated() -> None:
    """The reason for the refusal no longer exists when the state is recreated."""
    world = world_of(grace_ms=HOUR, speed=60.0)
    an_hour_of_calls(world)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        tell(world)
        tell(world)  # refused: the policy is already scheduled
        await until(world, NOON + 12 * MINUTE)
        take_back(world, LATER)
        await until(world, NOON + 30 * MINUTE)
        worker.kill()
        lose_state(world)
        tell(world, WRONG, NOON + 60 * MINUTE)  # no worker has read this command yet
        worker = world.add_worker()
        await until(world, THE_END)
        assert phase(worker) == (OwnedPhase.RUNNING, "")
        changes = [(FROM, LATER.sha256), (FROM, f"-{LATER.sha256}"), (NOON + 60 * MINUTE, WRONG.sha256)]
        assert policy_changes(world) == [(0, POLICY.sha256), *changes]
        (refused,) = [entry for _, entry in journal_entries(world) if isinstance(entry, RefusedCommand)]
        assert (refused.offset, refused.by) == (1, "ops-1")
        assert refused.why.startswith(f"the policy {LATER.sha256[:12]} already applies")

    play(world, go)


async def rebuild_lost_state(world: World) -> None:
    """Delete the state, and let a worker rebuild it from the topics."""
    lose_state(world)
    worker = world.add_worker()
    await until(world, THE_END)
    assert phase(worker) == (OwnedPhase.RUNNING, "")


def test_a_withdrawal_is_not_repeated_after_a_loss_of_state() -> None:
    world = world_of(grace_ms=HOUR, speed=60.0)
    an_hour_of_calls(world)

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        tell(world, WRONG)
        await until(world, NOON + 11 * MINUTE)
        take_back(world, WRONG)
        await until(world, NOON + 12 * MINUTE)
        tell(world, WRONG, FROM + 5 * MINUTE)
        await until(world, NOON + 40 * MINUTE)
        worker.kill()
        before = policy_changes(world)
        await rebuild_lost_state(world)
        assert policy_changes(world) == before
        assert before[1:] == [(FROM, WRONG.sha256), (FROM, f"-{WRONG.sha256}"), (FROM + 5 * MINUTE, WRONG.sha256)]
        assert [one for one in wrong(world) if "alerts" not in one] == [], "alerts may come again"

    play(world, go)


def test_commands_are_not_repeated_after_a_loss_of_state() -> None:
    world = world_of(grace_ms=HOUR, speed=60.0)
    an_hour_of_calls(world)
    back = loads(json.dumps(PLAIN | {"version": "3"}), "policy.json")

    async def go() -> None:
        worker = world.add_worker()
        await until(world, NOON + 10 * MINUTE)
        tell(world)
        tell(world)  # refused: the policy is already scheduled
        await until(world, NOON + 25 * MINUTE)
        tell(world, back, FROM + 20 * MINUTE)
        await until(world, NOON + 50 * MINUTE)
        worker.kill()
        before = versions(world)
        await rebuild_lost_state(world)
        switches = [entry for _, entry in journal_entries(world) if isinstance(entry, PolicyChange)]
        assert [(one.from_ms, one.sha256) for one in switches[1:]] == [
            (FROM, LATER.sha256),
            (FROM + 20 * MINUTE, back.sha256),
        ]
        decided = versions(world)
        assert decided[: len(before)] == before
        assert {version for _, version in decided[len(before) :]} == {"3"}

    play(world, go)
