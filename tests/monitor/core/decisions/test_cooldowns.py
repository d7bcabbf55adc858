"""Cooldowns: for which tenants a rule is in cooldown, has a pending decision, or is stopped, by section 5 of the
contract.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.shard_harness import ShardHarness, rule, summaries
from helpers.shard_samples import HOUR, T0, policy_of
from helpers.thorough import examples
from monitor.core.decisions.cooldowns import Cooldowns, cooldown_key, keys_started_by
from monitor.policy.model import Rule

MODES = ("enforce", "review", "shadow")
BEHAVIOURS = ("blind_calling", "no_consent")


def made(name: str, mode: str, behaviour: str) -> dict[str, Any]:
    base = {"metric": "asr", "below": 0.5, "window": "1h", "step": "1h"}
    return {"id": name, "behaviour": behaviour, "mode": mode, **base}


RULES: tuple[Rule, ...] = policy_of(
    rules=[
        made(f"{mode}-{behaviour}-{n}", mode, behaviour) for mode in MODES for behaviour in BEHAVIOURS for n in (1, 2)
    ]
).rules


def silences(decided: Rule, other: Rule) -> bool:
    """An enforce decision silences enforce and review rules, a review decision review rules, a shadow
    one its own rule.
    """
    if decided.mode == "shadow":
        return other.id == decided.id
    if decided.behaviour != other.behaviour:
        return False
    return other.mode in ({"enforce", "review"} if decided.mode == "enforce" else {"review"})


@pytest.mark.parametrize("decided", RULES, ids=lambda rule: rule.id)
def test_a_decision_quiets_those_rules_that_the_contract_names(decided: Rule) -> None:
    for other in RULES:
        assert (cooldown_key(other) in keys_started_by(decided)) == silences(decided, other), other.id


Step = tuple[str, int, int, int]  # what, which rule, tenant, time or step
steps = st.lists(
    st.tuples(
        st.sampled_from(("decide", "pending", "no longer", "stop")),
        st.integers(0, len(RULES) - 1),
        st.integers(0, 90),
        st.integers(0, 3),
    ),
    max_size=12,
)


@examples(steps, st.integers(0, 8), fast=30, most=120)
def test_a_rule_may_decide_unless_the_contract_forbids_it(what: list[Step], hours: int) -> None:
    cooldowns, now_ms = Cooldowns(), T0 + hours * HOUR
    until: dict[tuple[str, int], int] = {}
    pending: dict[tuple[str, int], int] = {}
    stopped: dict[int, int] = {}
    for act, number, tenant, value in what:
        rule = RULES[number]
        if act == "decide":
            for key in keys_started_by(rule):
                cooldowns.extend(key, tenant, T0 + value * 2 * HOUR)
                until[key, tenant] = max(until.get((key, tenant), 0), T0 + value * 2 * HOUR)
        elif act == "stop":
            cooldowns.sanctioned(tenant, value)
            stopped[tenant] = value
        else:
            count = pending.get((rule.behaviour, tenant), 0)
            step = 1 if act == "pending" else -1 if count else 0
            cooldowns.pending(rule.behaviour, tenant, step)
            pending[rule.behaviour, tenant] = count + step
    tenants = np.arange(100)
    for rule in RULES:
        expected = [
            until.get((cooldown_key(rule), tenant), 0) <= now_ms
            and (rule.mode == "shadow" or not stopped.get(tenant))
            and (rule.mode != "review" or not pending.get((rule.behaviour, tenant)))
            for tenant in range(100)
        ]
        assert cooldowns.open(rule, now_ms, tenants).tolist() == expected
        assert cooldowns.open(rule, now_ms, tenants[::-7]).tolist() == expected[::-7]


def test_the_end_of_the_cool_down_may_decide_again() -> None:
    cooldowns, rule = Cooldowns(), RULES[0]
    cooldowns.extend(cooldown_key(rule), 3, T0)
    assert cooldowns.open(rule, T0 - 1, np.array([2, 3])).tolist() == [True, False]
    assert cooldowns.open(rule, T0, np.array([2, 3])).tolist() == [True, True]


@pytest.mark.parametrize(
    ("first", "second", "quiet"),
    [
        ("enforce", "enforce", True),
        ("enforce", "review", True),
        ("review", "review", True),
        ("review", "enforce", False),
        ("shadow", "shadow", False),
        ("shadow", "enforce", False),
        ("shadow", "review", False),
        ("enforce", "shadow", False),
        ("review", "shadow", False),
    ],
)
def test_which_rules_of_a_behaviour_a_decision_quiets(first: str, second: str, quiet: bool) -> None:
    """Both rules are in breach at the same ends; the one first in the file comes first at each."""
    harness = ShardHarness(
        rules=[rule("first", mode=first, cooldown="60m"), rule("second", mode=second, cooldown="60m")]
    )
    harness.short_calls(4)
    harness.until(14)
    said = {event.data.rule_id for event in harness.output.enforcement + harness.output.shadow}
    assert said == ({"first"} if quiet else {"first", "second"})
    assert len(harness.output.enforcement + harness.output.shadow) == len(said)  # each at most once within the cooldown


def test_another_behaviour_is_not_quiet() -> None:
    harness = ShardHarness(rules=[rule("one"), rule("other", behaviour="no_consent")])
    harness.short_calls(4)
    assert sorted(summaries(harness.until(5))) == [("warning", "final", "one", 5), ("warning", "final", "other", 5)]


def test_another_tenant_is_not_quiet() -> None:
    harness = ShardHarness(rules=[rule("one")])
    harness.short_calls(4)
    harness.short_calls(8, tenant="bravo")
    assert [e.subject for e in harness.until(10)] == ["acme", "bravo"]


@pytest.mark.parametrize("cooldown", ["10m", "15m", "20m"])
def test_a_rule_decides_again_at_the_end_of_its_cool_down_and_not_before(cooldown: str) -> None:
    harness = ShardHarness(rules=[rule("one", cooldown=cooldown)])
    harness.short_calls(*range(1, 60))
    step = int(cooldown[:-1])
    assert summaries(harness.until(60)) == [("warning", "final", "one", minute) for minute in range(5, 61, step)]


def test_the_cool_down_is_the_window_unless_given() -> None:
    harness = ShardHarness(rules=[rule("one", window="20m")])
    harness.short_calls(*range(1, 60))
    assert [minute for *_, minute in summaries(harness.until(60))] == [5, 25, 45]


def test_a_shadow_decision_quiets_its_own_rule_alone() -> None:
    harness = ShardHarness(
        rules=[rule("one", mode="shadow", cooldown="20m"), rule("two", mode="shadow", cooldown="10m")]
    )
    harness.short_calls(*range(1, 30))
    assert harness.until(30) == []
    assert summaries(e for e in harness.output.shadow if e.data.rule_id == "one") == [
        ("warning", "final", "one", 5),
        ("warning", "final", "one", 25),
    ]
    assert [m for *_, m in summaries(e for e in harness.output.shadow if e.data.rule_id == "two")] == [5, 15, 25]


def test_a_review_rule_is_quiet_as_long_as_its_decision_is_pending_beyond_the_cool_down() -> None:
    harness = ShardHarness(rules=[rule("one", mode="review")], defaults={"review_within": "42m"})
    harness.short_calls(*range(1, 70))
    # Pending from 5 to 47; at 50 it may decide again.
    assert summaries(harness.until(60)) == [
        ("warning", "pending_review", "one", 5),
        ("lapse", "final", "one", 47),
        ("warning", "pending_review", "one", 50),
    ]


def test_a_pending_review_decision_does_not_quiet_enforce_rules() -> None:
    harness = ShardHarness(rules=[rule("ask", mode="review"), rule("act", metric="attempts", above=2)])
    harness.short_calls(1, 6, 7, 8)
    assert summaries(harness.until(10)) == [("warning", "pending_review", "ask", 5), ("warning", "final", "act", 10)]


def test_a_reversed_decision_keeps_its_cooldown() -> None:
    """The same calls count once."""
    harness = ShardHarness(rules=[rule("one", cooldown="20m")])
    harness.short_calls(*range(1, 40))
    (warning,) = harness.until(5)
    harness.review(6, "overturn", warning)
    assert [m for *_, m in summaries(harness.until(39))] == [6, 25]
