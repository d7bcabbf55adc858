"""Cooldowns: for which tenants a rule is in cooldown, has a pending decision, or is stopped, by section 5 of the
contract.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.shard_samples import HOUR, T0, policy_of, tries
from monitor.core.decisions.cooldowns import Cooldowns, keys_quieted_by, quiet_key
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
        assert (quiet_key(other) in keys_quieted_by(decided)) == silences(decided, other), other.id


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


@tries(120)
@given(steps, st.integers(0, 8))
def test_a_rule_may_decide_unless_the_contract_forbids_it(what: list[Step], hours: int) -> None:
    cooldowns, now_ms = Cooldowns(), T0 + hours * HOUR
    until: dict[tuple[str, int], int] = {}
    pending: dict[tuple[str, int], int] = {}
    stopped: dict[int, int] = {}
    for act, number, tenant, value in what:
        rule = RULES[number]
        if act == "decide":
            for key in keys_quieted_by(rule):
                cooldowns.quieten(key, tenant, T0 + value * 2 * HOUR)
                until[key, tenant] = max(until.get((key, tenant), 0), T0 + value * 2 * HOUR)
        elif act == "stop":
            cooldowns.stopped(tenant, value)
            stopped[tenant] = value
        else:
            count = pending.get((rule.behaviour, tenant), 0)
            step = 1 if act == "pending" else -1 if count else 0
            cooldowns.pending(rule.behaviour, tenant, step)
            pending[rule.behaviour, tenant] = count + step
    tenants = np.arange(100)
    for rule in RULES:
        expected = [
            until.get((quiet_key(rule), tenant), 0) <= now_ms
            and (rule.mode == "shadow" or not stopped.get(tenant))
            and (rule.mode != "review" or not pending.get((rule.behaviour, tenant)))
            for tenant in range(100)
        ]
        assert cooldowns.open(rule, now_ms, tenants).tolist() == expected
        assert cooldowns.open(rule, now_ms, tenants[::-7]).tolist() == expected[::-7]


def test_the_end_of_the_cool_down_may_decide_again() -> None:
    cooldowns, rule = Cooldowns(), RULES[0]
    cooldowns.quieten(quiet_key(rule), 3, T0)
    assert cooldowns.open(rule, T0 - 1, np.array([2, 3])).tolist() == [True, False]
    assert cooldowns.open(rule, T0, np.array([2, 3])).tolist() == [True, True]
