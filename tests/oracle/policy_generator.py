"""Seeded policies for comparisons: valid by the contract, with thresholds low enough that generated traffic exceeds
them.
"""

import random
from dataclasses import dataclass
from typing import Any

from oracle import measures

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MINOR = ("undeclared_business", "blind_calling", "no_consent")
GRAVER = (
    "verified_fraud_complaint",
    "verified_harassment_complaint",
    "undeclared_prohibited_business",
    "in_call_abuse",
)
PROPORTIONS = sorted(set(measures.OF_CALLS) - measures.COUNTS | {"complaint_rate", "verified_complaint_rate"})
CATALOGUE = [
    {"key": "loans", "zh": "贷款", "en": "loans", "terms": ["贷款", "cash loan"], "unless": ["贷款知识", "safe"]},
    {"key": "hair", "zh": "植发", "en": "hair transplants", "terms": ["植发"], "unless": []},
    {"key": "k12", "zh": "K12", "en": "K12", "terms": ["K12", "K12 tutoring"], "unless": ["企业培训"]},
]
# (window, step): hours, up to two days, longer.
Spans = tuple[tuple[str, str], ...]
SHORT_SPANS: Spans = (
    ("5m", "5m"),
    ("15m", "5m"),
    ("10m", "2m"),
    ("9m", "3m"),
    ("1h", "5m"),
    ("1h", "1h"),
    ("3h", "30m"),
)
HOUR_SPANS: Spans = (("3h", "30m"), ("2h", "10m"))
DAY_SPANS: Spans = (("24h", "1h"), ("24h", "24h"), ("48h", "6h"))
LONG_SPANS: Spans = (("72h", "1h"), ("30d", "24h"), ("30d", "6h"), ("7d", "12h"))
SIGNED = {"owner": "ops", "reason": "for the test"}


@dataclass(frozen=True)
class Frame:
    """The parameters of one scenario; times in ms. Boundary times are multiples of ``unit``."""

    rng: random.Random
    flavour: str
    tenants: list[str]
    start: int
    span: int
    lateness: int
    unit: int

    def often(self, share: float) -> bool:
        """True in ``share`` of the cases."""
        return self.rng.random() < share


def to_ms(text: str) -> int:
    """`5m`, `24h`, `30d` in ms."""
    return int(text[:-1]) * {"m": MINUTE, "h": HOUR, "d": DAY}[text[-1]]


def policy(frame: Frame) -> dict[str, Any]:
    """One policy of the frame's kind, as plain data in the form of a policy file."""
    rng = frame.rng
    spans = SHORT_SPANS + HOUR_SPANS + DAY_SPANS
    # Half of the long scenarios have a short retention: ids are forgotten and come again.
    if frame.flavour == "long" and frame.often(0.5):
        spans = DAY_SPANS + LONG_SPANS * 2
    if frame.flavour == "boundary":
        spans = SHORT_SPANS + HOUR_SPANS
    favourite = rng.choice(MINOR)
    metrics: list[str | None] = [None] * rng.randint(1, 9)
    if frame.flavour == "ratios":
        metrics = [*rng.sample(measures.ALL, rng.randint(9, len(measures.ALL)))]
    if frame.flavour == "measured":
        metrics = [None] * rng.randint(4, 9)
    rules = [_rule(frame, f"r{i}", spans, metric, favourite) for i, metric in enumerate(metrics)]
    longest = max(to_ms(r["window"]) for r in rules)
    retention = max(longest, rng.choice((3 * HOUR, DAY, 3 * DAY, 400 * DAY)))
    overrides, exemptions = _exceptions(frame, rules)
    made = {
        "id": "generated",
        "version": "1",
        "extends": "access-rules",
        "defaults": {
            "lateness": f"{frame.lateness // MINUTE}m",
            "short_call_s": rng.choice((6.0, 5, 1)),
            "callee_limit": rng.choice((1, 2, 5)),
            "short_ring_s": rng.choice((3.0, 3, 2.5, 0.001)),
            "timezone": rng.choice(("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC")),
            "review_within": rng.choice(("20m", "1h", "3h", "24h", "7d")),
            "retention": f"{retention // MINUTE}m",
        },
        "rules": rules,
        "escalations": [_escalation(frame, f"e{i}", retention) for i in range(rng.randint(0, 2))],
        "overrides": overrides,
        "exemptions": exemptions,
        "prohibited_businesses": CATALOGUE,
    }
    if frame.often(0.3):
        made["behaviours"] = {name: {"freeze": False} for name in rng.sample(GRAVER, 2)}
    if frame.often(0.3):
        chosen = made.setdefault("behaviours", {})
        for name in rng.sample(GRAVER, rng.randint(1, 3)):
            chosen[name] = {**chosen.get(name, {}), "kind": rng.choice(("termination", "ban"))}
    if frame.often(0.4):
        made["admissions"] = rng.choice(("review", "review", "review", "refuse_only"))
    _add_version_4(frame, made, random.Random(repr(made)))
    return made


def _add_version_4(frame: Frame, made: dict[str, Any], rng: random.Random) -> None:
    """Keys of version 4 of the contract. They have a generator of their own: the rest stays as it was for each seed."""
    for escalation in made["escalations"]:
        if rng.random() < 0.5:
            escalation["once_per_rule"] = rng.random() < 0.8
    firsts = ("5m", "15m", "1h", "3h", "24h", "48h")
    for rule in made["rules"]:
        if rng.random() < 0.25:
            rule["first"] = rng.choice(firsts)
    for override in made["overrides"]:
        if rng.random() < 0.15:
            override["first"] = rng.choice((None, *firsts))
    # Profiles may name the tenants and rules that exemptions name, too, and expire at other times.
    made["profiles"] = {
        f"p{number}": {
            "exempt": [rule["id"] for rule in made["rules"] if rng.random() < 0.2],
            "tenants": [tenant for tenant in frame.tenants if rng.random() < 0.3],
            **SIGNED,
            "expires": rng.choice(("2026-03-02", "2026-03-03", "2026-03-04", "2027-01-01")),
        }
        for number in range(rng.choice((0, 0, 1, 2)))
    }


def _escalation(frame: Frame, name: str, retention: int) -> dict[str, Any]:
    rng = frame.rng
    made: dict[str, Any] = {
        "id": name,
        "count": "violations",
        "at_least": rng.choice((1, 2, 2, 3, 3, 4)),
        "window": rng.choice([w for w in ("5m", "30m", "1h", "4h", "24h", "30d") if to_ms(w) <= retention]),
        "tier": rng.choice(("major", "severe")),
    }
    if frame.often(0.7):
        made["mode"] = rng.choice(("review", "review", "enforce"))
    if frame.often(0.5):
        made["freeze"] = frame.often(0.5)
    return made


def _exceptions(frame: Frame, rules: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    overrides, exemptions = [], []
    share = 0.4 if frame.flavour == "measured" else 0.12
    for tenant in frame.tenants:
        for rule in rules:
            expires = frame.rng.choice(("2026-03-02", "2026-03-03", "2026-03-03", "2026-03-04", "2027-01-01"))
            if frame.often(share):
                changes = _override(frame, rule)
                overrides.append({"tenant": tenant, "rule": rule["id"], **changes, **SIGNED, "expires": expires})
            elif frame.often(share):
                exemptions.append({"tenant": tenant, "rules": [rule["id"]], **SIGNED, "expires": expires})
    return overrides, exemptions


def _threshold(frame: Frame, metric: str) -> float:
    if metric in measures.IN_SECONDS:
        return frame.rng.choice((1, 2.5, 10, 30))
    if metric in measures.QUOTIENTS:
        return frame.rng.choice((1, 1.5, 2, 3.3333333333333335, 6))
    if metric in measures.COUNTS:
        return frame.rng.choice((0, 1, 2, 4, 7))
    return frame.rng.choice((0.0, 0.1, 0.2, 0.25, 0.3333333333333333, 0.5, 0.6, 0.9))


def _recover(frame: Frame, direction: str, threshold: float) -> float:
    return threshold * frame.rng.choice((1, 0.5) if direction == "above" else (1, 1.5))


def _rule(frame: Frame, name: str, spans: Spans, metric: str | None, favourite: str) -> dict[str, Any]:
    rng = frame.rng
    metric = metric or rng.choice(measures.ALL)
    window, step = rng.choice(spans)
    if metric in measures.OF_PARTIES and to_ms(window) > 48 * HOUR:
        window, step = rng.choice(DAY_SPANS)
    direction = "above" if frame.often(0.75) else "below"
    threshold = _threshold(frame, metric)
    mode = rng.choice(("enforce", "enforce", "review", "review", "shadow"))
    behaviour = favourite if frame.often(0.6) else rng.choice(MINOR)
    if mode != "enforce" and frame.often(0.3):
        behaviour = rng.choice(GRAVER)
    rule: dict[str, Any] = {
        "id": name,
        "behaviour": behaviour,
        "metric": metric,
        direction: threshold,
        "window": window,
        "step": step,
    }
    if mode != "enforce" or frame.often(0.5):
        rule["mode"] = mode
    if frame.often(0.6):
        rule["min_denominator"] = rng.choice((1, 2, 3, 8))
    if metric in PROPORTIONS and frame.often(0.4):
        rule["confidence"] = rng.choice((0.6, 0.9, 0.95))
    if frame.often(0.3):
        rule["also"] = _also(frame, rule)
    if frame.often(0.6):
        rule["cooldown"] = rng.choice((window, f"{2 * to_ms(window) // MINUTE}m"))
    if frame.often(0.4):
        rule["recover"] = _recover(frame, direction, threshold)
    if frame.often(0.3):
        rule["freeze"] = frame.often(0.7)
    if frame.often(0.3):
        rule["with"] = _with(frame)
    _allow(rule, metric, rule)
    return rule


def _with(frame: Frame) -> dict[str, Any]:
    given = {"short_call_s": 5, "callee_limit": 2, "timezone": "Europe/London", "short_ring_s": 1}
    return {k: v for k, v in given.items() if frame.often(0.5)} or {"callee_limit": 3}


def _also(frame: Frame, rule: dict[str, Any]) -> list[dict[str, Any]]:
    long = to_ms(rule["window"]) > 48 * HOUR
    return [
        {"metric": m, frame.rng.choice(("above", "below", "at_least", "at_most")): _threshold(frame, m)}
        for m in frame.rng.choices(measures.ALL, k=frame.rng.randint(1, 2))
        if not (long and m in measures.OF_PARTIES)
    ]


def _override(frame: Frame, rule: dict[str, Any]) -> dict[str, Any]:
    direction = "above" if "above" in rule else "below"
    threshold = _threshold(frame, rule["metric"])
    changes: dict[str, Any] = {}
    if frame.often(0.7):
        changes[direction] = threshold
        if frame.often(0.4):
            changes["recover"] = _recover(frame, direction, threshold)
    if frame.often(0.3):
        changes["min_denominator"] = frame.rng.choice((1, 4))
    if frame.often(0.3):
        changes["cooldown"] = f"{3 * to_ms(rule['window']) // MINUTE}m"
    if frame.often(0.3):
        changes["mode"] = frame.rng.choice(("review", "shadow", *(["enforce"] if rule["behaviour"] in MINOR else [])))
    if frame.often(0.2) and rule["metric"] in PROPORTIONS:
        changes["confidence"] = frame.rng.choice((None, 0.8))
    if frame.often(0.2):
        changes["freeze"] = frame.often(0.5)
    if frame.often(0.3):
        changes["with"] = _with(frame)
    if frame.often(0.2):
        changes["also"] = _also(frame, rule)
    changes = changes or {direction: threshold}
    _allow(changes, rule["metric"], {**rule, **changes})
    return changes


def _allow(changes: dict[str, Any], metric: str, rule: dict[str, Any]) -> None:
    """A ratio is never below 0, and exceeds 0 with any event, so such a rule needs a minimum denominator."""
    if metric in measures.COUNTS | measures.QUOTIENTS | measures.IN_SECONDS:
        return
    if changes.get("below") == 0.0:
        changes["below"] = 0.1
        if "recover" in changes:
            changes["recover"] = 0.1
    if changes.get("above") == 0.0 and "min_denominator" not in rule:
        changes["min_denominator"] = 1
