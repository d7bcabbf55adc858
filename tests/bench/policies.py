"""Policies for measurements: the built-in one, that of the baseline, and larger ones derived from the built-in one."""

import json
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from monitor.policy.load import load, loads
from monitor.policy.model import Policy, Rule
from monitor.policy.serialize import rule_plain
from monitor.text.durations import format_duration

RULES = 64
# The built-in policy of the baseline: the built-in policy grows, and costs are compared over the same rules.
FROZEN_RULES = Path(__file__).with_name("rules_of_baseline.yaml")
_STRETCH = (1.0, 2.0, 0.5, 1.5)
_TIGHTEN = (1.0, 1.1, 0.9, 1.2)
_AGAIN = 0.99  # of the threshold, each time that windows and parameters repeat
_SHORT_CALL_S = (6.0, 3.0, 4.0, 8.0)
_CALLEE_LIMITS = (5, 3, 4, 8)
_ZONES = ("Asia/Shanghai", "Asia/Urumqi")
_LONGEST_MS = {True: 30 * 24 * 3_600_000, False: 48 * 3_600_000}


def named(name: str) -> Policy:
    """``built-in`` or ``baseline``; ``rules64`` or ``baseline64``: any number of rules, made of those."""
    if name == "built-in":
        return load(None)
    baseline = load(str(FROZEN_RULES))
    if name == "baseline":
        return baseline
    if name.startswith("baseline"):
        return _many_rules(baseline.rules, int(name.removeprefix("baseline")))
    return _many_rules(load(None).rules, int(name.removeprefix("rules")))


def _many_rules(some: Sequence[Rule], count: int) -> Policy:
    """That many rules: those given, repeated with other windows, thresholds and parameters."""
    rules = [_variant(rule, number // len(some)) for number, rule in enumerate(islice(cycle(some), count))]
    text = json.dumps({"id": f"bench-{count}-rules", "version": "1", "extends": "access-rules", "rules": rules})
    return loads(text, f"rules{count}")


def _variant(rule: Rule, number: int) -> dict[str, object]:
    again, place = divmod(number, len(_STRETCH))
    window_ms = round(rule.window_ms * _STRETCH[place])
    if window_ms % rule.step_ms or window_ms > _LONGEST_MS[rule.window_ms > _LONGEST_MS[False]]:
        window_ms = rule.window_ms
    plain = rule_plain(rule)
    plain["id"] = f"{rule.id}-{number}"
    plain["window"] = format_duration(window_ms)
    plain["cooldown"] = format_duration(max(rule.cooldown_ms, window_ms))
    tighten = _TIGHTEN[place] * _AGAIN**again
    plain[rule.direction] = rule.threshold * tighten
    plain["recover"] = rule.recover * tighten
    plain["with"] = {
        "short_call_s": _SHORT_CALL_S[place],
        "callee_limit": _CALLEE_LIMITS[place],
        "timezone": _ZONES[number % len(_ZONES)],
    }
    return plain
