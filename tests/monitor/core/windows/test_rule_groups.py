"""Which rules with one window length share a sliding window: those that count the same keys, or have the same step."""

import random
from typing import Any

import pytest

from helpers.shard_samples import policy_of
from monitor.core.windows.distinct.count_names import counts_of
from monitor.core.windows.rule_groups import rule_groups
from monitor.policy.model import Rule


def rules(*asked: tuple[str, str]) -> list[Rule]:
    """Rules of a day with these metrics and steps."""
    some: list[dict[str, Any]] = [
        {
            "id": f"r{number}-{metric}-{step}",
            "behaviour": "blind_calling",
            "metric": metric,
            "above": 0.5,
            "window": "24h",
            "step": step,
            "mode": "shadow",
        }
        for number, (metric, step) in enumerate(asked)
    ]
    return list(policy_of(rules=some).rules)


def names(groups: list[list[Rule]]) -> list[set[str]]:
    return [{rule.id[3:] for rule in group} for group in groups]


def test_keys_that_only_rules_with_long_steps_count_get_a_window_of_their_own() -> None:
    some = rules(("asr", "1h"), ("callee_peak", "15m"), ("block_ratio", "1h"), ("consent_peak", "1h"))
    assert names(rule_groups(some)) == [{"callee_peak-15m", "asr-1h"}, {"block_ratio-1h", "consent_peak-1h"}]


def test_rules_that_share_keys_share_a_window_at_any_step() -> None:
    some = rules(("callee_peak", "15m"), ("distinct_callee_ratio", "12h"), ("caller_peak", "1h"))
    assert names(rule_groups(some)) == [{"callee_peak-15m", "distinct_callee_ratio-12h"}, {"caller_peak-1h"}]


def test_rules_without_keys_join_the_shortest_step() -> None:
    assert names(rule_groups(rules(("asr", "5m"), ("ner", "1h"), ("callers", "1h")))) == [
        {"asr-5m", "ner-1h"},
        {"callers-1h"},
    ]
    assert names(rule_groups(rules(("asr", "1h"), ("callers", "15m")))) == [{"asr-1h", "callers-15m"}]
    assert names(rule_groups(rules(("asr", "5m"), ("ner", "1h")))) == [{"asr-5m", "ner-1h"}]


@pytest.mark.parametrize("seed", range(20))
def test_no_set_of_keys_is_counted_twice_for_one_window_length(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    metrics = ("asr", "callee_peak", "caller_peak", "block_ratio", "consent_peak", "top_callee_share", "callers")
    some = rules(*((rng.choice(metrics), rng.choice(("5m", "15m", "1h", "12h"))) for _ in range(rng.randint(1, 12))))
    groups = rule_groups(some)
    assert sorted(rule.id for group in groups for rule in group) == sorted(rule.id for rule in some)
    for group in groups:
        for other in groups:
            if other is not group:
                assert not counts_of(group).keys() & counts_of(other).keys()
