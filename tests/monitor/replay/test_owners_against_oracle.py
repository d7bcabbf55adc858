"""Bans that follow an owner: replay and the independent oracle agree, in any number of shards and processes."""

import json
import random
from collections import Counter
from typing import Any

import pytest

from oracle.compare import differences
from oracle.policy_generator import MINUTE
from oracle.product import run
from oracle.scenario_generator import MARCH_2, Scenario, scenario, short_names, solve
from oracle.worked_cases import resolve

FAST = range(60_000, 60_016)
SOAK = range(61_000, 62_000)


def replayed(made: Scenario, **how: Any) -> dict[str, Any]:
    """The product's output, with the reviews' names replaced."""
    times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
    return resolve(made.files, lambda files: run(files, made.policy, **times, **how), short_names)


def compare(seed: int, size: int) -> Counter[str]:
    """Compare one scenario. Returns how many decisions there were by behaviour and kind."""
    made, rng = scenario(seed, "owners", size=size), random.Random(seed)
    expected = solve(made)
    for shards in (1, rng.choice((2, 3, 5))):
        how = {"shards": shards, "piece_lines": rng.choice((1, 3, 40, 5_000)), "windows": shards == 1}
        actual = replayed(made, **how)
        if not how["windows"]:
            actual |= {"windows": expected["windows"]}
        print(f"seed {seed}: {how}")
        assert differences(expected, actual)[:20] == []
    return Counter(f"{event['behaviour']} {event['kind']}" for event in expected["enforcement"])


def test_bans_do_not_follow_owners_otherwise_than_the_contract_says() -> None:
    seen = sum((compare(seed, 120) for seed in FAST), Counter[str]())
    print(seen)
    for behaviour in ("owner_banned ban", "owner_banned reversal", "banned_owner admission_rejected"):
        assert seen[behaviour] > 3


@pytest.mark.soak
@pytest.mark.parametrize("first", SOAK[::100])
def test_bans_do_not_follow_owners_otherwise_on_many_more(first: int) -> None:
    for seed in range(first, first + 100):
        compare(seed, 300)


@pytest.mark.parametrize(
    "seed", [62_000, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(62_001, 62_040))]
)
def test_processes_exchange_bans_before_they_take_effect(seed: int) -> None:
    made = scenario(seed, "owners", size=200)
    one = replayed(made)
    print(f"seed {seed}")
    assert any(event["behaviour"] == "owner_banned" for event in one["enforcement"])
    rng = random.Random(seed)
    for jobs in (2, 3, 4):
        several = replayed(made, jobs=jobs, piece_lines=rng.choice((3, 40, 5_000)))
        assert json.dumps(several) == json.dumps(one)


@pytest.mark.parametrize("lifted", [2, 6])
def test_a_ban_by_a_window_and_its_lifting_are_exchanged_in_time(lifted: int) -> None:
    """A window that ends at whole five minutes bans at that instant, at which the shards exchange their bans, too."""
    rule = {"id": "some", "behaviour": "blind_calling", "metric": "attempts", "above": 3, "window": "5m", "step": "5m"}
    escalation = {
        "id": "one",
        "count": "violations",
        "at_least": 1,
        "window": "1h",
        "tier": "severe",
        "mode": "enforce",
    }
    policy = {"id": "test", "version": "1", "extends": "access-rules", "rules": [rule], "escalations": [escalation]}
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
