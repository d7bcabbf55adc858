"""Bans that follow an owner: replay and the independent oracle agree, in any number of shards and processes."""

import json
import random
from collections import Counter
from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.record_ref import RecordRef
from monitor.policy.load import loads
from monitor.replay.owner_barriers import OwnerBarriers
from oracle.compare import differences
from oracle.policy_generator import DAY, MINUTE
from oracle.product import run
from oracle.scenario_generator import MARCH_2, Scenario, scenario, short_names, solve
from oracle.worked_cases import resolve
from schemas.inputs import Tenant

FAST = range(60_000, 60_012)
SOAK = range(61_000, 62_000)
MANY = [seed for seed in range(62_001, 62_020) if seed != 62_003]

BAN_AT_ONCE = {
    "id": "one",
    "count": "violations",
    "at_least": 1,
    "window": "1h",
    "tier": "severe",
    "mode": "enforce",
}
"""An escalation that bans for one violation, without a review."""


def resolved(made: Scenario) -> list[list[str]]:
    """The files with the ids of the product in their reviews."""
    runs: list[list[list[str]]] = []

    def once(files: list[list[str]]) -> dict[str, Any]:
        runs.append(files)
        return replayed(made, files, windows=False)  # for the ids of its decisions

    resolve(made.files, once, short_names)
    return runs[-1]


def replayed(made: Scenario, files: list[list[str]], **how: Any) -> dict[str, Any]:
    """The product's output."""
    return run(files, made.policy, not_after_ms=made.not_after_ms, until_ms=made.until_ms, **how)


def compare(seed: int, size: int) -> Counter[str]:
    """Compare one scenario. Returns how many decisions there were by behaviour and kind."""
    made, rng = scenario(seed, "owners", size=size), random.Random(seed)
    expected, files = solve(made, afresh=True), resolved(made)
    for shards in (1, rng.choice((2, 3, 5))):
        how = {"shards": shards, "piece_lines": rng.choice((1, 3, 40, 5_000)), "windows": shards == 1}
        actual = replayed(made, files, **how)
        if not how["windows"]:
            actual |= {"windows": expected["windows"]}
        print(f"seed {seed}: {how}")
        assert differences(expected, actual)[:20] == []
    return Counter(f"{event['behaviour']} {event['kind']}" for event in expected["enforcement"])


@pytest.mark.parametrize("seeds", thorough([FAST[4:7:2], FAST], 1), ids=str)  # two that ban, reverse and reject
def test_bans_of_owners_agree_with_the_oracle(seeds: range) -> None:
    seen = sum((compare(seed, 100) for seed in seeds), Counter[str]())
    print(seen)
    for behaviour in ("owner_banned ban", "owner_banned reversal", "banned_owner admission_rejected"):
        assert seen[behaviour] > 0


@pytest.mark.soak
@pytest.mark.parametrize("first", SOAK[::100])
def test_bans_of_owners_agree_with_the_oracle_on_many_more_seeds(first: int) -> None:
    for seed in range(first, first + 100):
        compare(seed, 300)


@pytest.mark.parametrize(
    ("seed", "jobs"),
    [
        *thorough([(62_003, 3), (62_003, 2), (62_000, 3), (62_000, 2)], 1),
        *(pytest.param(seed, jobs, marks=pytest.mark.soak) for seed in MANY for jobs in (2, 3)),
    ],
)
def test_processes_exchange_bans_before_they_take_effect(seed: int, jobs: int) -> None:
    made = scenario(seed, "owners", size=100)
    files = resolved(made)
    one = replayed(made, files)
    print(f"seed {seed}")
    bans = [event for event in one["enforcement"] if event["behaviour"] == "owner_banned"]
    assert bans, "choose another seed: a new metric or field of records changes all scenarios"
    several = replayed(made, files, jobs=jobs, piece_lines=random.Random(seed + jobs).choice((3, 40, 5_000)))
    assert json.dumps(several) == json.dumps(one)


def test_an_empty_span_of_time_has_no_barriers() -> None:
    """Under a policy whose measured rules may ban, a record of another year must not cost a stop every five minutes."""
    rule = {"id": "some", "behaviour": "blind_calling", "metric": "attempts", "above": 3, "window": "1h", "step": "5m"}
    policy = {"id": "test", "version": "1", "extends": "access-rules", "rules": [rule], "escalations": [BAN_AT_ONCE]}
    barriers = OwnerBarriers([loads(json.dumps(policy), "policy.json")])
    tenant = Tenant("acme", [], [], MARCH_2, owner_id="o1")
    barriers.read([PendingRecord.of(tenant, MARCH_2, RecordRef(0, 0, 0, 1), b"")], [np.array([MARCH_2 + 1, -1])])
    barriers.read([], [np.array([MARCH_2 + 2]), np.array([MARCH_2 + 10 * 365 * DAY])])
    first = barriers.until(MARCH_2 + DAY)
    assert first == [MARCH_2 + n * 5 * MINUTE for n in range(2, 15)]
    assert barriers.until(MARCH_2 + 2 * DAY) == []
    assert len(barriers.until(MARCH_2 + 11 * 365 * DAY)) == 13


@pytest.mark.parametrize("lifted", [2, 6])
def test_a_ban_by_a_window_and_its_lifting_are_exchanged_in_time(lifted: int) -> None:
    """A window that ends at whole five minutes bans at that instant, at which the shards exchange their bans, too."""
    rule = {"id": "some", "behaviour": "blind_calling", "metric": "attempts", "above": 3, "window": "5m", "step": "5m"}
    policy = {"id": "test", "version": "1", "extends": "access-rules", "rules": [rule], "escalations": [BAN_AT_ONCE]}
    tenants = [f"t{n}" for n in range(6)]
    records: list[dict[str, Any]] = [
        {"type": "tenant", "tenant_id": tenant, "owner_id": "o1", "declared_businesses": [], "numbers": []}
        | {"updated_ms": MARCH_2}
        for tenant in tenants
    ]
    records += [
        {"type": "cdr", "call_id": f"c{n}", "tenant_id": "t0", "direction": "outbound", "outcome": "busy"}
        | {"caller": "1", "callee": "2", "start_ms": MARCH_2 + n, "end_ms": MARCH_2 + MINUTE + n}
        for n in range(5)
    ]
    (ban,) = [event for event in run([records], policy)["enforcement"] if event["kind"] == "ban"]
    assert ban["decided_ms"] == MARCH_2 + 5 * MINUTE
    review = {
        "type": "review",
        "review_id": "v1",
        "tenant_id": "t0",
        "enforcement_id": ban["id"],
        "verdict": "overturn",
    }
    records.append(review | {"reviewer": "ops", "reason": "", "updated_ms": ban["decided_ms"] + lifted * MINUTE})
    records.append(records[0] | {"tenant_id": "clock", "updated_ms": MARCH_2 + 60 * MINUTE})
    one = run([records], policy)
    followed = [event for event in one["enforcement"] if event["behaviour"] == "owner_banned"]
    assert len(followed) == (0 if lifted < 5 else 2 * 5)
    for how in ({"shards": 2}, {"shards": 6}, {"shards": 2, "piece_lines": 1}, {"jobs": 2}):
        assert run([records], policy, **how) == one
