"""Policies for measurements: the built-in one, and one of 64 rules derived from it."""

import json
from itertools import cycle, islice

from monitor.policy.load import load, loads
from monitor.policy.model import Policy, Rule
from monitor.policy.serialize import rule_plain
from monitor.text.durations import format_duration

RULES = 64
_STRETCH = (1.0, 2.0, 0.5, 1.5)
_TIGHTEN = (1.0, 1.1, 0.9, 1.2)
_SHORT_CALL_S = (6.0, 3.0, 4.0, 8.0)
_CALLEE_LIMITS = (5, 3, 4, 8)
_ZONES = ("Asia/Shanghai", "Asia/Urumqi")
_LONGEST_MS = {True: 30 * 24 * 3_600_000, False: 48 * 3_600_000}


def named(name: str) -> Policy:
    """``built-in`` or ``rules64``."""
    return load(None) if name == "built-in" else rules64()


def rules64() -> Policy:
    """64 rules: the built-in ones repeated with other windows, thresholds and parameters."""
    built_in = load(None).rules
    rules = [_variant(rule, number // len(built_in)) for number, rule in enumerate(islice(cycle(built_in), RULES))]
    text = json.dumps({"id": "bench-64-rules", "version": "1", "extends": "access-rules", "rules": rules})
    return loads(text, "rules64")


def _variant(rule: Rule, number: int) -> dict[str, object]:
    place = number % len(_STRETCH)
    window_ms = round(rule.window_ms * _STRETCH[place])
    if window_ms % rule.step_ms or window_ms > _LONGEST_MS[rule.window_ms > _LONGEST_MS[False]]:
        window_ms = rule.window_ms
    plain = rule_plain(rule)
    plain["id"] = f"{rule.id}-{number}"
    plain["window"] = format_duration(window_ms)
    plain["cooldown"] = format_duration(max(rule.cooldown_ms, window_ms))
    plain[rule.direction] = rule.threshold * _TIGHTEN[place]
    plain["recover"] = rule.recover * _TIGHTEN[place]
    plain["with"] = {
        "short_call_s": _SHORT_CALL_S[place],
        "callee_limit": _CALLEE_LIMITS[place],
        "timezone": _ZONES[number % len(_ZONES)],
    }
    return plain
