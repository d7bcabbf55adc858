"""Seeded record files and policies for comparisons with the oracle: small, and as awkward as the contract allows."""

import json
import random
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from oracle import measures
from oracle.compare import as_output, names
from oracle.deciding import judge
from oracle.records import YEAR_1990, YEAR_2100
from oracle.worked import resolve

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
YEAR_2050 = 2_524_608_000_000
MARCH_2 = 1_772_409_600_000  # 2026-03-02T00:00:00Z

FLAVOURS = ("random", "boundary", "identities", "disputes", "sources", "long", "hostile", "ratios")
MINOR = ("undeclared_business", "blind_calling", "no_consent")
GRAVER = (
    "verified_fraud_complaint",
    "verified_harassment_complaint",
    "undeclared_prohibited_business",
    "in_call_abuse",
)
PROPORTIONS = sorted(set(measures.OF_CALLS) - measures.COUNTS | {"complaint_rate", "verified_complaint_rate"})
MILD = ("no_consent", "number_leak", "other")
CATEGORIES = ("fraud", "harassment", "abuse", "no_consent", "number_leak", "prohibited_business", "other")
RARE = ("policy_blocked", "cancelled", "unreachable", "failed")
CATALOGUE = [
    {"key": "loans", "zh": "贷款", "en": "loans", "terms": ["贷款", "cash loan"], "unless": ["贷款知识", "safe"]},
    {"key": "hair", "zh": "植发", "en": "hair transplants", "terms": ["植发"], "unless": []},
    {"key": "k12", "zh": "K12", "en": "K12", "terms": ["K12", "K12 tutoring"], "unless": ["企业培训"]},
]
TEXTS = (
    None,
    "",
    "宠物用品",
    "贷款",
    "ＣＡＳＨ　Loan！",
    "cash loans",
    "a cash loan for you",
    "小额贷款中介",
    "贷款知识讲座",
    "贷款知识与植发",
    "植-发。",
    "Network 12",
    "k12",
    "our K12 tutoring, safely",
    "K12企业培训",
    "K123",
    "a safe cash loan",
    "unsafe cash loan",
)
TALKS = (0, 1, 999, 5_000, 5_001, 6_000, 6_001, 9_999, 10_000, 10_001, 59_999, 60_000, 60_001)
# (window, step); the last two only for windows that the flavour asks for
SPANS = (
    ("5m", "5m"),
    ("15m", "5m"),
    ("10m", "2m"),
    ("9m", "3m"),
    ("1h", "5m"),
    ("1h", "1h"),
    ("3h", "30m"),
    ("24h", "1h"),
    ("24h", "24h"),
    ("48h", "6h"),
)
LONG_SPANS = (("72h", "1h"), ("30d", "24h"), ("30d", "6h"), ("7d", "12h"))


@dataclass
class Scenario:
    """Files of lines and a policy. Reviews name events as `@name` by `short_names`; `solve` fills them in."""

    seed: int
    flavour: str
    files: list[list[str]]
    policy: dict[str, Any]
    not_after_ms: int
    until_ms: int | None = None


@dataclass
class _Made:
    """Records of one scenario with the source that they go to."""

    records: list[tuple[int, dict[str, Any] | str]] = field(default_factory=list)
    serial: int = 0


def short_names(events: list[dict[str, Any]]) -> dict[str, str]:
    """Event id -> a short name by what the event says, the same for whoever made it."""
    return {event_id: sha256(name.encode()).hexdigest()[:24] for event_id, name in names(events).items()}


def solve(scenario: Scenario) -> dict[str, Any]:
    """The oracle's output, with the reviews' names filled in by repeated runs."""
    return resolve(
        scenario.files,
        lambda files: as_output(
            judge(files, scenario.policy, not_after_ms=scenario.not_after_ms, until_ms=scenario.until_ms)
        ),
        short_names,
    )


def scenario(seed: int, flavour: str | None = None, size: int | None = None) -> Scenario:
    """One scenario out of a seed; the flavour rotates with the seed unless it is given."""
    rng = random.Random(seed)
    flavour = flavour or FLAVOURS[seed % len(FLAVOURS)]
    lateness = rng.choice((0, MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR))
    span = rng.choice((3 * HOUR, 9 * HOUR, 30 * HOUR))
    if flavour == "long":
        span = rng.choice((4 * DAY, 12 * DAY, 40 * DAY))
    # Midnight in UTC, where overrides and exemptions expire, lies inside the span.
    start = MARCH_2 + DAY - rng.choice((HOUR, span // 2, span // 3)) // MINUTE * MINUTE
    tenants = [f"t{i}" for i in range(rng.randint(1, 5))]
    policy = _policy(rng, flavour, tenants, lateness)
    made = _Made()
    count = size or rng.randint(50, 350)
    for _ in range(count):
        _add(rng, made, flavour, tenants, start, span, lateness)
    sources = 1 if flavour in {"random", "boundary"} else rng.randint(1, 3)
    last = max(t for t, _ in made.records if t < YEAR_2050)
    not_after = last + DAY
    if rng.random() < 0.15:
        not_after = last - rng.randint(0, span // 8)
    until = None
    if rng.random() < 0.25:
        until = last + rng.choice((0, 1, MINUTE, HOUR, 3 * DAY))
    out = Scenario(seed, flavour, [], policy, not_after)
    for rounds_left in (2, 1, 0):
        out.files = _files(random.Random(seed + 1), made, sources, lateness, flavour)
        if until is not None:
            out.until_ms = max(until, *(t for t, _ in made.records if t < YEAR_2050))
        if rounds_left:
            _review(rng, made, solve(out), start, span)
    return out


def permuted(rng: random.Random, lines: list[str], lateness_ms: int) -> list[str]:
    """The lines in another order that makes no record late or raised (all of them valid records)."""

    def event_time(line: str) -> int:
        record = json.loads(line)
        return int(record["end_ms"] if record["type"] == "cdr" else record["updated_ms"])

    places = {i: event_time(line) + rng.uniform(0, lateness_ms) for i, line in enumerate(lines)}
    return [lines[i] for i in sorted(places, key=places.__getitem__)]


# -- policies


def _ms(text: str) -> int:
    return int(text[:-1]) * {"m": MINUTE, "h": HOUR, "d": DAY}[text[-1]]


def _policy(rng: random.Random, flavour: str, tenants: list[str], lateness: int) -> dict[str, Any]:
    # Half of the long scenarios remember for a short time only, so that ids are forgotten and come again.
    spans = SPANS if flavour != "long" or rng.random() < 0.5 else SPANS[5:] + LONG_SPANS * 2
    rules = [_rule(rng, f"r{i}", spans) for i in range(rng.randint(1, 9))]
    if flavour == "ratios":
        metrics = rng.sample(measures.ALL, len(measures.ALL))
        rules = [_rule(rng, f"m{i}", spans, metric) for i, metric in enumerate(metrics[: rng.randint(9, 27)])]
    longest = max(_ms(r["window"]) for r in rules)
    retention = max(longest, rng.choice((DAY, 3 * DAY, 400 * DAY)))
    windows = [w for w in ("30m", "4h", "24h", "30d") if _ms(w) <= retention]
    escalations = [
        {
            "id": f"e{i}",
            "count": "violations",
            "at_least": rng.choice((1, 2, 2, 3, 3, 4)),
            "window": rng.choice(windows),
            "tier": rng.choice(("major", "severe")),
            **({"mode": rng.choice(("review", "enforce"))} if rng.random() < 0.7 else {}),
            **({"freeze": rng.random() < 0.5} if rng.random() < 0.5 else {}),
        }
        for i in range(rng.randint(0, 2))
    ]
    overrides, exemptions = [], []
    signed = {"owner": "ops", "reason": "for the test"}
    for tenant in tenants:
        for rule in rules:
            expires = rng.choice(("2026-03-02", "2026-03-03", "2026-03-03", "2026-03-04", "2027-01-01"))
            if rng.random() < 0.12:
                changes = _override(rng, rule)
                overrides.append({"tenant": tenant, "rule": rule["id"], **changes, **signed, "expires": expires})
            elif rng.random() < 0.08:
                exemptions.append({"tenant": tenant, "rules": [rule["id"]], **signed, "expires": expires})
    return {
        "id": "generated",
        "version": "1",
        "extends": "access-rules",
        "defaults": {
            "lateness": f"{lateness // MINUTE}m",
            "short_call_s": rng.choice((6.0, 5, 1)),
            "callee_limit": rng.choice((1, 2, 5)),
            "timezone": rng.choice(("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC")),
            "review_within": rng.choice(("20m", "3h", "24h", "7d")),
            "retention": f"{retention // HOUR}h",
        },
        "rules": rules,
        "escalations": escalations,
        "overrides": overrides,
        "exemptions": exemptions,
        "prohibited_businesses": CATALOGUE,
        **({"behaviours": {name: {"freeze": False} for name in rng.sample(GRAVER, 2)}} if rng.random() < 0.3 else {}),
    }


def _threshold(rng: random.Random, metric: str) -> float:
    if metric in {"acd_s", "pdd_s"}:
        return rng.choice((1, 2.5, 10, 30))
    if metric in measures.COUNTS:
        return rng.choice((0, 1, 2, 4, 7))
    return rng.choice((0.0, 0.1, 0.2, 0.25, 0.3333333333333333, 0.5, 0.6, 0.9))


def _recover(rng: random.Random, direction: str, threshold: float) -> float:
    return threshold * rng.choice((1, 0.5)) if direction == "above" else threshold * rng.choice((1, 1.5))


def _rule(
    rng: random.Random, name: str, spans: tuple[tuple[str, str], ...], metric: str | None = None
) -> dict[str, Any]:
    metric = metric or rng.choice(measures.ALL)
    window, step = rng.choice(SPANS if metric in measures.OF_PARTIES else spans)
    direction = "above" if rng.random() < 0.75 else "below"
    threshold = _threshold(rng, metric)
    mode = rng.choice(("enforce", "enforce", "review", "shadow"))
    rule: dict[str, Any] = {
        "id": name,
        "behaviour": rng.choice(MINOR if mode == "enforce" else MINOR + GRAVER),
        "metric": metric,
        direction: threshold,
        "window": window,
        "step": step,
    }
    if mode != "enforce" or rng.random() < 0.5:
        rule["mode"] = mode
    if rng.random() < 0.6:
        rule["min_denominator"] = rng.choice((1, 2, 3, 8))
    if metric in PROPORTIONS and rng.random() < 0.4:
        rule["confidence"] = rng.choice((0.6, 0.9, 0.95))
    if rng.random() < 0.3:
        rule["also"] = _also(rng, rule)
    if rng.random() < 0.6:
        rule["cooldown"] = rng.choice((window, f"{2 * _ms(window) // MINUTE}m"))
    if rng.random() < 0.4:
        rule["recover"] = _recover(rng, direction, threshold)
    if rng.random() < 0.3:
        rule["freeze"] = rng.random() < 0.7
    if rng.random() < 0.3:
        rule["with"] = _with(rng)
    return rule


def _with(rng: random.Random) -> dict[str, Any]:
    told = {"short_call_s": 5, "callee_limit": 2, "timezone": "Europe/London"}
    return {k: v for k, v in told.items() if rng.random() < 0.5} or {"callee_limit": 3}


def _also(rng: random.Random, rule: dict[str, Any]) -> list[dict[str, Any]]:
    long = _ms(rule["window"]) > 48 * HOUR
    return [
        {"metric": m, rng.choice(("above", "below", "at_least", "at_most")): _threshold(rng, m)}
        for m in rng.choices(measures.ALL, k=rng.randint(1, 2))
        if not (long and m in measures.OF_PARTIES)
    ]


def _override(rng: random.Random, rule: dict[str, Any]) -> dict[str, Any]:
    direction = "above" if "above" in rule else "below"
    threshold = _threshold(rng, rule["metric"])
    changes: dict[str, Any] = {}
    if rng.random() < 0.7:
        changes[direction] = threshold
        if rng.random() < 0.4:
            changes["recover"] = _recover(rng, direction, threshold)
    if rng.random() < 0.3:
        changes["min_denominator"] = rng.choice((1, 4))
    if rng.random() < 0.3:
        changes["cooldown"] = f"{3 * _ms(rule['window']) // MINUTE}m"
    if rng.random() < 0.3:
        changes["mode"] = rng.choice(("review", "shadow") + (("enforce",) if rule["behaviour"] in MINOR else ()))
    if rng.random() < 0.2 and rule["metric"] in PROPORTIONS:
        changes["confidence"] = rng.choice((None, 0.8))
    if rng.random() < 0.2:
        changes["freeze"] = rng.random() < 0.5
    if rng.random() < 0.3:
        changes["with"] = _with(rng)
    if rng.random() < 0.2:
        changes["also"] = _also(rng, rule)
    return changes or {direction: threshold}


# -- records


def _time(rng: random.Random, flavour: str, start: int, span: int) -> int:
    time = start + rng.randint(0, span)
    if flavour == "boundary" or rng.random() < 0.15:
        unit = rng.choice((5 * MINUTE, 5 * MINUTE, HOUR, MINUTE, 6 * HOUR))
        time = time // unit * unit + rng.choice((0, 0, 0, 1, -1))
    return time


def _add(
    rng: random.Random, made: _Made, flavour: str, tenants: list[str], start: int, span: int, lateness: int
) -> None:
    time = _time(rng, flavour, start, span)
    if rng.random() < 0.003:  # the edges of what a time may be; `not_after` refuses the later one
        time = rng.choice((YEAR_1990 + 3 * HOUR, YEAR_2100 - 1))
    tenant = rng.choice(tenants)
    made.serial += 1
    roll = rng.random()
    others = {"disputes": 0.75, "identities": 0.4, "sources": 0.35, "ratios": 0.15}.get(flavour, 0.25)
    if flavour == "hostile" and roll < 0.15:
        made.records.append((time, _hostile(rng, time)))
        return
    record = _other(rng, made, tenant, time, flavour) if rng.random() < others else _call(rng, made, tenant, time)
    made.records.append((time, record))
    if rng.random() < (0.4 if flavour == "identities" else 0.08):
        again = dict(record)
        later = time
        if rng.random() < 0.5 and YEAR_1990 + DAY < time < YEAR_2050:
            later = time + rng.choice((0, 1, lateness, lateness + 1, lateness - 1, rng.randint(0, 3 * HOUR)))
        if rng.random() < 0.5:  # changed content under the same id
            again["tenant_id"] = rng.choice(tenants)
            again.update(_moved(again, later))
            if again["type"] == "cdr":
                again["caller"] = "+8619000000009"
            if again["type"] == "complaint":
                again["category"] = rng.choice(CATEGORIES)
                again["complainant"] = rng.choice(("w1", "w9", None))
        else:
            later = time
        made.records.append((later, again))


def _moved(record: dict[str, Any], time: int) -> dict[str, Any]:
    if record["type"] != "cdr":
        return {"updated_ms": time}
    by = time - record["end_ms"]
    return {f: record[f] + by for f in ("start_ms", "ring_ms", "answer_ms", "end_ms") if record.get(f)}


def _call(rng: random.Random, made: _Made, tenant: str, end: int) -> dict[str, Any]:
    outcome = rng.choices(
        ("answered", "no_answer", "busy", "rejected", "invalid_number", "carrier_blocked", *RARE),
        (12, 2, 1, 2, 2, 1, 1, 2, 1, 1),
    )[0]
    talk = rng.choice(TALKS) if rng.random() < 0.7 else rng.randint(0, 120_000)
    answer = end - talk if outcome == "answered" else None
    before = answer if answer is not None else end
    ring = before - rng.choice((0, 1, 2_500, 7_000)) if rng.random() < 0.7 else None
    start = (ring if ring is not None else before) - rng.choice((0, 1, 1_500, 4_000))
    if rng.random() < 0.1:  # a start on the edge of the permitted hours, in one zone or another
        start = min(start, start // HOUR * HOUR + rng.choice((0, -1)))
    number = rng.randint(0, 30)
    callee = rng.choices(
        (
            f"+86138000000{number:02d}",
            f"86138000000{number:02d}",
            f"{number:04d}",
            f"{number + 90}",
            f"who-{number % 7}",
            "+",
            f"٠{number}",
        ),
        (10, 3, 3, 2, 2, 1, 1),
    )[0]
    record: dict[str, Any] = {
        "type": "cdr",
        "call_id": f"c{made.serial}" if rng.random() < 0.85 else f"c{rng.randint(0, 20)}",
        "tenant_id": tenant,
        "direction": "outbound" if rng.random() < 0.85 else "inbound",
        "caller": f"+861900000000{rng.randint(1, 3)}",
        "callee": callee,
        "start_ms": start,
        "end_ms": end,
        "outcome": outcome,
    }
    optional = {
        "ring_ms": ring,
        "answer_ms": answer,
        "hangup_by": rng.choice(("callee", "callee", "caller", "system", "", None)),
        "consent_id": rng.choice(("k1", "", None)),
    }
    for name, value in optional.items():
        if value is not None or rng.random() < 0.5:
            record[name] = "" if value is None and name == "ring_ms" and rng.random() < 0.3 else value
    if rng.random() < 0.05:
        record["unknown"] = {"deep": [1.5, None]}
    return record


def _other(rng: random.Random, made: _Made, tenant: str, time: int, flavour: str) -> dict[str, Any]:
    kind = rng.choices(("complaint", "finding", "application", "tenant", "review"), (10, 6, 3, 1, 1))[0]
    pool = 8 if flavour == "disputes" else 25
    record: dict[str, Any] = {"type": kind, "tenant_id": tenant, "updated_ms": time}
    if kind == "complaint":
        record |= {
            "complaint_id": f"p{rng.randint(0, pool)}",
            "category": rng.choice(CATEGORIES if rng.random() < (0.6 if flavour == "disputes" else 0.1) else MILD),
            "status": rng.choices(("received", "verified", "dismissed"), (4, 4, 2))[0],
            "complainant": rng.choice(("w1", "w2", "w3", "", None)),
            "reported_ms": MARCH_2 - DAY,
            "call_id": rng.choice((None, "c1")),
        }
    elif kind == "finding":
        record |= {
            "finding_id": f"f{rng.randint(0, pool)}",
            "behaviour": rng.choice(("in_call_abuse", *MINOR) if flavour == "disputes" else MINOR),
            "status": rng.choices(("suspected", "confirmed", "dismissed"), (2, 6, 2))[0],
            "actual_business": rng.choice(TEXTS),
            "catalogue_row": rng.choices((None, "", "loans", "no-such-row"), (8, 1, 1, 1))[0],
        }
    elif kind == "application":
        record |= {
            "application_id": f"n{rng.randint(0, 4)}",
            "declared_business": rng.choice(TEXTS) or "",
            "scenario": rng.choice(TEXTS),
        }
    elif kind == "tenant":
        record |= {"name": "a name", "declared_businesses": ["贷款"], "numbers": []}
    else:
        record |= {
            "review_id": f"v{rng.randint(0, 9)}",
            "enforcement_id": "no-such-event",
            "verdict": rng.choice(("uphold", "overturn")),
            "reviewer": "ops-1",
            "reason": "",
        }
    return record


def _review(rng: random.Random, made: _Made, out: dict[str, Any], start: int, span: int) -> None:
    """Add reviews of some of the decisions of a run, at, before and after them, some of them twice."""
    events = out["enforcement"]
    called = short_names(events)
    for e in events:
        if rng.random() > (0.6 if e["status"] == "pending_review" else 0.15):
            continue
        for _ in range(rng.choice((1, 1, 2))):
            after = rng.choice((0, 0, 1, MINUTE, 20 * MINUTE, HOUR, 3 * HOUR, 5 * HOUR, -MINUTE))
            due = e["review_by_ms"]
            at = due + rng.choice((0, -1, 1)) if due is not None and rng.random() < 0.2 else e["decided_ms"] + after
            if not start <= at <= start + span + HOUR:
                continue
            made.serial += 1
            tenant = e["tenant_id"] if rng.random() < 0.95 else "t0"
            record = {
                "type": "review",
                "review_id": f"v{made.serial}" if rng.random() < 0.8 else f"v{rng.randint(0, 9)}",
                "enforcement_id": f"@{called[e['id']]}",
                "tenant_id": tenant,
                "verdict": "uphold" if rng.random() < 0.6 else "overturn",
                "reviewer": "ops-1",
                "reason": "looked into it",
                "updated_ms": at,
            }
            made.records.append((at, record))


def _hostile(rng: random.Random, time: int) -> str:
    call = _call(rng, _Made(), "t0", time)
    name, value = rng.choice(
        (
            ("end_ms", float(time)),
            ("end_ms", str(time)),
            ("end_ms", True),
            ("end_ms", 631_151_999_999),
            ("end_ms", 4_102_444_800_000),
            ("end_ms", None),
            ("start_ms", time + 1),
            ("call_id", ""),
            ("call_id", "x" * 129),
            ("call_id", 7),
            ("tenant_id", "\ud800"),
            ("caller", ""),
            ("callee", "9" * 65),
            ("direction", "sideways"),
            ("outcome", "Answered"),
            ("hangup_by", "nobody"),
            ("source", "s" * 4097),
            ("type", "call"),
            ("type", None),
        )
    )
    call[name] = value
    whole = json.dumps(call)
    return rng.choice((whole, whole, whole, whole[:-9], "[" + whole + "]", "null", "{}", "", "   ", "\t", whole * 2))


def _files(rng: random.Random, made: _Made, sources: int, lateness: int, flavour: str) -> list[list[str]]:
    """Deal the records to sources; each in event-time order but for shuffling within, and rarely beyond, lateness."""
    files: list[list[tuple[float, int, str]]] = [[] for _ in range(sources)]
    beyond = 0.2 if flavour == "sources" else 0.05
    for n, (time, record) in enumerate(made.records):
        place = time + rng.choice((0.0, rng.uniform(0, lateness)))
        if rng.random() < beyond:
            place = time + rng.choice((lateness, lateness + 1, rng.uniform(0, lateness + 3 * HOUR)))
        line = record if isinstance(record, str) else json.dumps(record, ensure_ascii=rng.random() < 0.5)
        files[rng.randrange(sources)].append((place, n, line))
    dealt = [[line for _, _, line in sorted(lines, key=lambda item: item[:2])] for lines in files]
    return [*dealt, rng.choice(([], ["", "  "]))] if sources > 1 and rng.random() < 0.1 else dealt
