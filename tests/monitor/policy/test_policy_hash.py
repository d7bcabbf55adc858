"""The hash identifies what is decided: layout does not change it, and every value does."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from monitor.policy.load import PolicyError, load, loads, to_plain

FULL = """\
id: house
version: "1"
extends: none
admissions: review
defaults: {short_ring_s: 2.5}
behaviours: {in_call_abuse: {kind: ban}}
rules:
- {id: a, behaviour: blind_calling, metric: short_call_ratio, above: 0.2, window: 24h, step: 1h, min_denominator: 7,
   confidence: 0.9, also: [{metric: asr, below: 0.5}], cooldown: 25h, recover: 0.1, mode: review, freeze: false,
   first: 7d, with: {short_call_s: 5, callee_limit: 4, timezone: UTC, short_ring_s: 4}}
- {id: b, behaviour: no_consent, metric: reject_ratio, above: 0.3, window: 48h, step: 24h, mode: shadow}
escalations:
- {id: e, count: violations, at_least: 3, window: 30d, tier: major, mode: review, freeze: true, once_per_rule: true}
overrides:
- {tenant: t, rule: a, above: 0.3, first: 3d, with: {short_ring_s: 1}, owner: ops, reason: why, expires: 2027-01-01}
- {tenant: u, rule: b, above: 0.4, owner: ops, reason: why, expires: 2027-01-01}
exemptions:
- {tenant: v, rules: [a, b], owner: ops, reason: why, expires: 2027-01-01}
- {tenant: w, rules: [b], owner: ops, reason: why, expires: 2027-01-01}
profiles:
  hotels: {exempt: [a, b], tenants: [x, z], owner: ops, reason: why, expires: 2027-01-01}
prohibited_businesses:
- {key: loans, zh: 贷款, en: loans, terms: [贷款, loan], unless: [贷款知识]}
- {key: hair, zh: 植发, en: hair, terms: [植发], unless: []}
"""


def turned(value: Any) -> Any:
    """The same data with the keys of every mapping reversed."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from leaves(item, (*path, n))
    else:
        yield path, value


LIKELY = {
    "tier": ["minor", "severe"],
    "kind": ["termination"],
    "mode": ["enforce", "review"],
    "behaviour": ["no_consent", "undeclared_business"],
    "metric": ["asr", "ner"],
    "timezone": ["Asia/Tokyo"],
    "admissions": ["refuse_only"],
    "window": ["12h", "24h"],
    "step": ["12h"],
    "rules": ["a", "b"],
    "exempt": ["a", "b"],
    "expires": ["2028-01-01"],
}
"""By field, the names that are tried first: a policy is read for each one that does not fit."""


def other(field: str, value: Any) -> list[Any]:
    """Values that differ from ``value`` and may replace it."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, (int, float)):
        return [value + 1, value * 0.75, value + 0.01, value * 1.01]
    if value is None:
        return [0.9]
    names = [
        "minor",
        "severe",
        "refuse_only",
        "termination",
        "enforce",
        "review",
        "no_consent",
        "undeclared_business",
        "Asia/Tokyo",
        "asr",
        "ner",
        "a",
        "b",
    ]
    doubled = re.sub(r"\d+", lambda n: str(int(n[0]) * 2), value, count=1)
    return [*LIKELY.get(field, ()), doubled, *names, "c", "12h", "24h", "2028-01-01"]


def test_layout_does_not_move_the_hash() -> None:
    policy = loads(FULL, "p")
    assert loads("# a remark\n" + FULL.replace("\n- ", "\n\n- "), "q").sha256 == policy.sha256
    assert loads(json.dumps(turned(to_plain(policy))), "r").sha256 == policy.sha256


def test_two_ways_to_write_the_same_have_one_hash() -> None:
    other_way = FULL.replace("24h, step: 1h", "1440m, step: 3600s").replace("0.2,", "2e-1,")
    other_way = other_way.replace("expires: 2027-01-01", 'expires: "2027-01-01T01:00:00+01:00"')
    other_way = other_way.replace("cooldown: 25h,", "cooldown: 90000s,").replace("[a, b]", "[b, a]")
    assert other_way != FULL
    assert loads(other_way, "p").sha256 == loads(FULL, "p").sha256


def test_every_value_moves_the_hash() -> None:
    policy = loads(FULL, "p")
    plain = to_plain(policy)
    moved = 0
    for path, value in leaves(plain):
        # Values without an alternative: the law, and rule ids that overrides and exemptions name. One tier and one
        # behaviour stand for all.
        law = path[0] in ("tiers", "behaviours")
        fixed = law and (path[1] not in ("minor", "no_consent") or path[2] not in ("zh", "en", "freeze"))
        fixed &= path[-1] != "kind" or path[0] == "tiers"
        fixed |= path[-1] in ("count", "rule", "extends") or (path[0] == "rules" and path[2] == "id")
        if fixed:
            continue
        hashes = set()
        for candidate in other([step for step in path if isinstance(step, str)][-1], value):
            if candidate == value or hashes:
                continue
            changed = copy.deepcopy(plain)
            target: Any = changed
            for step in path[:-1]:
                target = target[step]
            target[path[-1]] = candidate
            try:
                hashes.add(loads(json.dumps(changed), "q").sha256)
            except PolicyError:
                continue  # not applicable here
        assert policy.sha256 not in hashes, f"the hash does not depend on {path}"
        moved += bool(hashes)
        assert hashes, f"no other value found for {path}"
    assert moved > 60


def test_a_rules_id_moves_the_hash() -> None:
    assert loads(FULL.replace("id: b", "id: c").replace("rule: b", "rule: c").replace("b]", "c]"), "p").sha256 != (
        loads(FULL, "p").sha256
    )


def test_the_order_of_rules_moves_the_hash() -> None:
    plain = to_plain(loads(FULL, "p"))
    plain["rules"].reverse()
    assert loads(json.dumps(plain), "q").sha256 != loads(FULL, "p").sha256


def test_the_built_in_policy_has_one_hash() -> None:
    assert load(None).sha256 == loads(json.dumps(to_plain(load(None))), "p").sha256
    assert re.fullmatch("[0-9a-f]{64}", load(None).sha256)
