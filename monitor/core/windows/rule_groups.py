"""Rule groups: which rules with one window length share a sliding window."""

from collections.abc import Iterable
from math import gcd

from monitor.core.windows.distinct.count_names import counts_of
from monitor.policy.metrics import KeySet
from monitor.policy.model import Rule


def rule_groups(rules: Iterable[Rule]) -> list[list[Rule]]:
    """Rules with one window length, at least one, in groups that share no set of keys.

    Keys enter and leave a window at each step of its rules, at a cost per step. So keys that only rules with long steps
    count get a window of their own. Rules with the same id, such as those of overrides, stay together. Rules that count
    no keys join the group with the shortest step.
    """
    by_id: dict[str, list[Rule]] = {}
    for rule in rules:
        by_id.setdefault(rule.id, []).append(rule)
    sharing: list[tuple[set[KeySet], list[Rule]]] = []  # groups that share no set of keys
    others: list[Rule] = []
    for some in by_id.values():
        keys, found = set(counts_of(some)), list(some)
        if not keys:
            others += found
            continue
        for theirs in [group for group in sharing if group[0] & keys]:
            sharing.remove(theirs)
            keys |= theirs[0]
            found = theirs[1] + found
        sharing.append((keys, found))
    by_step: dict[int, list[Rule]] = {}
    for _, found in sharing:
        by_step.setdefault(gcd(*(rule.step_ms for rule in found)), []).extend(found)
    if others:
        step_ms = min([gcd(*(rule.step_ms for rule in others)), *by_step])
        by_step.setdefault(step_ms, []).extend(others)
    return [by_step[step_ms] for step_ms in sorted(by_step)]
