"""Seeded changes of a scenario's policy: of every kind, several in a row, while some sources are silent."""

import json
import random
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from oracle.policy_generator import HOUR, policy, to_ms
from oracle.record_generator import event_time
from oracle.scenario_generator import Scenario

BOUNDARY = 5 * 60_000
IN_AN_HOUR = HOUR // BOUNDARY
KINDS = ("same", "defaults", "added", "removed", "altered", "another", "lateness", "steps", "exceptions", "order")


@dataclass
class Change:
    """A policy that applies from a time on, and the kind of change."""

    from_ms: int
    kind: str
    policy: dict[str, Any]


def changes(rng: random.Random, made: Scenario) -> list[Change]:
    """One to four changes, most of them within the time of the records; often three policies or more apply within an
    hour.
    """
    assert made.frame is not None
    found: list[Change] = []
    before, start, span = made.policy, made.frame.start, made.frame.span
    at = {(start + rng.randint(0, span + span // 8)) // BOUNDARY for _ in range(rng.choice((1, 1, 2, 3)))}
    close = rng.random() < 0.5
    if close:
        first = min(at)
        at = {first, *(first + rng.randint(1, IN_AN_HOUR - 1) for _ in range(rng.choice((1, 2, 3))))}
    for place in sorted(at):
        kind = rng.choice((*KINDS, "lateness", "lateness", "lateness") if close else KINDS)
        before = changed(rng, made, before, kind)
        found.append(Change(place * BOUNDARY, kind, before))
    return found


def still(rng: random.Random, made: Scenario, switches: list[Change]) -> bool:
    """Silence a source around the changes: its clock passes some of them in one step. Returns whether it had records
    then.
    """
    from_ms = switches[0].from_ms - rng.randint(0, HOUR)
    until_ms = switches[-1].from_ms + rng.randint(0, 3 * HOUR)
    source = rng.randrange(len(made.files))
    kept = [line for line in made.files[source] if not from_ms <= _time(line) < until_ms]
    if len(kept) == len(made.files[source]):
        return False
    made.files[source] = kept
    return True


def _time(line: str) -> int:
    try:
        return event_time(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return 0  # a line that is not a record stays


def changed(rng: random.Random, made: Scenario, before: dict[str, Any], kind: str) -> dict[str, Any]:
    """The policy after a change of that kind."""
    assert made.frame is not None
    other = policy(replace(made.frame, rng=rng))
    after = deepcopy(before) | {"version": str(rng.randint(2, 10**9))}
    if kind == "another":
        return other | {"version": after["version"]}
    if kind == "defaults":
        after["defaults"] = other["defaults"] | {"retention": after["defaults"]["retention"]}
    elif kind == "lateness":
        after["defaults"]["lateness"] = rng.choice(("0m", "1m", "10m", "1h", "4h"))
    elif kind == "added":
        after["rules"] += [rule | {"id": f"n{len(after['rules'])}-{rule['id']}"} for rule in other["rules"]]
    elif kind == "removed":
        gone = {rule["id"] for rule in rng.sample(after["rules"], len(after["rules"]) // 2)}
        after["rules"] = [rule for rule in after["rules"] if rule["id"] not in gone]
        after["overrides"] = [one for one in after["overrides"] if one["rule"] not in gone]
        after["exemptions"] = [one for one in after["exemptions"] if not gone & set(one["rules"])]
        after["profiles"] = {name: one for name, one in after["profiles"].items() if not gone & set(one["exempt"])}
    elif kind == "altered":
        after["profiles"] = {}
        mine = {rule["id"]: rule for rule in other["rules"]}
        after["rules"] = [mine.get(rule["id"], rule) if rng.random() < 0.5 else rule for rule in after["rules"]]
        after["overrides"], after["exemptions"] = [], []
    elif kind == "steps":
        after["rules"] = [_stepped(rng, rule) for rule in after["rules"]]
        after["overrides"] = []
    elif kind == "exceptions":
        after["overrides"], after["exemptions"], after["profiles"] = [], [], {}
    elif kind == "order":
        rng.shuffle(after["rules"])
    longest = max((to_ms(rule["window"]) for rule in after["rules"]), default=0)
    if to_ms(after["defaults"]["retention"]) < longest:
        after["defaults"]["retention"] = f"{longest // 60_000}m"
    return after


def _stepped(rng: random.Random, rule: dict[str, Any]) -> dict[str, Any]:
    window = to_ms(rule["window"])
    if window > 48 * 3_600_000:
        return rule
    fit = [step for step in ("1m", "5m", "15m", "1h") if window % to_ms(step) == 0]
    return rule | {"step": rng.choice(fit)} if fit else rule
