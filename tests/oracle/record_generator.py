"""Seeded records for comparisons: calls, complaints and the rest, as unusual as the contract allows."""

import json
from collections.abc import Iterator
from typing import Any

from oracle.policy_generator import DAY, HOUR, MINOR, MINUTE, Frame
from oracle.records import YEAR_1990, YEAR_2100

YEAR_2050 = 2_524_608_000_000
MILD = ("no_consent", "number_leak", "other")
CATEGORIES = ("fraud", "harassment", "abuse", "no_consent", "number_leak", "prohibited_business", "other")
RARE = ("policy_blocked", "cancelled", "unreachable", "failed")
TALKS = (0, 1, 999, 5_000, 5_001, 6_000, 6_001, 9_999, 10_000, 10_001, 59_999, 60_000, 60_001)
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
Made = tuple[int, dict[str, Any] | str]  # event time, and the record or a line that is not one


def event_time(record: dict[str, Any]) -> int:
    """The event time as written in the record."""
    return int(record["end_ms"] if record["type"] == "cdr" else record["updated_ms"])


def records(frame: Frame, count: int) -> list[Made]:
    """About ``count`` records, and some more that repeat or follow them."""
    made: list[Made] = []
    for serial in range(count):
        if frame.flavour == "hostile" and frame.often(0.15):
            time = _time(frame)
            made.append((time, _hostile(frame, time)))
        else:
            made += [(event_time(record), record) for record in _some(frame, serial)]
    return made


def _time(frame: Frame) -> int:
    rng = frame.rng
    if frame.often(0.003):  # the limits of a time; `not_after` rejects the later one
        return rng.choice((YEAR_1990 + 3 * HOUR, YEAR_2100 - 1))
    # Measured scenarios go silent after their first third: windows empty and no new record comes.
    span = frame.span // 3 if frame.flavour == "measured" and frame.often(0.9) else frame.span
    time = frame.start + rng.randint(0, span)
    if frame.often(0.85 if frame.flavour == "boundary" else 0.15):
        time = time // frame.unit * frame.unit + rng.choice((0, 0, 0, 0, 0, 0, 1, -1))
    return time


def _some(frame: Frame, serial: int) -> Iterator[dict[str, Any]]:
    """A record, and sometimes its successors: other statuses of it, copies of it, unchanged or changed."""
    rng, time, tenant = frame.rng, _time(frame), frame.rng.choice(frame.tenants)
    others = {"disputes": 0.75, "owners": 0.8, "identities": 0.4, "sources": 0.35, "ratios": 0.15, "measured": 0.1}
    if not frame.often(others.get(frame.flavour, 0.25)):
        record = _call(frame, tenant, time, f"c{serial}" if frame.often(0.85) else f"c{rng.randint(0, 20)}")
    else:
        record = _other(frame, tenant, time)
    yield record
    if not YEAR_1990 + DAY < time < YEAR_2050:
        return
    if record["type"] in {"complaint", "finding"} and frame.often(0.4):
        first, second = ("received", "verified") if record["type"] == "complaint" else ("suspected", "confirmed")
        for status in rng.sample((first, second, "dismissed"), rng.randint(1, 3)):
            changed = {**record, "status": status, "updated_ms": time + rng.choice((0, 0, 1, 5 * MINUTE, HOUR))}
            if record["type"] == "complaint" and frame.often(0.4):
                changed["complainant"] = rng.choice(("w1", "w2", "w4", None))
            yield changed
    if frame.often(0.4 if frame.flavour == "identities" else 0.08):
        later = time + rng.choice(
            (0, 0, 1, frame.lateness, frame.lateness + 1, frame.lateness - 1, rng.randint(0, 3 * HOUR))
        )
        yield _changed(frame, record, later) if frame.often(0.5) else dict(record)


def _changed(frame: Frame, record: dict[str, Any], time: int) -> dict[str, Any]:
    """Other content under the same id, later, or the same id for another tenant."""
    again = {**record, "tenant_id": frame.rng.choice((record["tenant_id"], *frame.tenants))}
    if record["type"] == "cdr":
        by = time - record["end_ms"]
        again |= {f: record[f] + by for f in ("start_ms", "ring_ms", "answer_ms", "end_ms") if record.get(f)}
        again["caller"] = "+8619000000009"
    else:
        again["updated_ms"] = time
    if record["type"] == "complaint":
        again["category"] = frame.rng.choice(CATEGORIES)
        again["complainant"] = frame.rng.choice(("w1", "w9", None))
    return again


def _call(frame: Frame, tenant: str, end: int, name: str) -> dict[str, Any]:
    rng = frame.rng
    outcome = rng.choices(
        ("answered", "no_answer", "busy", "rejected", "invalid_number", "carrier_blocked", *RARE),
        (12, 2, 1, 2, 2, 1, 1, 2, 1, 1),
    )[0]
    talk = rng.choice(TALKS) if frame.often(0.7) else rng.randint(0, 120_000)
    answer = end - talk if outcome == "answered" else None
    before = answer if answer is not None else end
    ring = before - rng.choice((0, 1, 2, 1_000, 2_500, 2_501, 3_000, 3_001, 7_000)) if frame.often(0.7) else None
    start = (ring if ring is not None else before) - rng.choice((0, 1, 1_500, 4_000))
    if frame.often(0.1):  # a start on the boundary of the permitted hours, in one zone or another
        start = min(start, start // HOUR * HOUR + rng.choice((0, -1)))
    number = rng.randint(0, 30)
    block = rng.choice(("13900", "+13900", "1", "+1", "", "12345678901234567890", f"{rng.randint(0, 99)}"))
    shapes = (
        f"+86138000000{number:02d}",
        f"86138000000{number:02d}",
        f"{number:04d}",
        f"{number + 90}",
        f"who-{number % 7}",
        "+",
        f"٠{number}",
        f"{block}{rng.randint(0, 14):02d}",
    )
    record: dict[str, Any] = {
        "type": "cdr",
        "call_id": name,
        "tenant_id": tenant,
        "direction": "outbound" if frame.often(0.85) else "inbound",
        "caller": f"+861900000000{rng.randint(1, 3)}",
        "callee": rng.choices(shapes, (10, 3, 3, 2, 2, 1, 1, 4))[0],
        "start_ms": start,
        "end_ms": end,
        "outcome": outcome,
    }
    optional = {
        "ring_ms": ring,
        "answer_ms": answer,
        "hangup_by": rng.choice(("callee", "callee", "caller", "system", "", None)),
        "consent_id": rng.choice(("k1", "k2", f"k{number}", "", None)),
    }
    for field, value in optional.items():
        if value is not None or frame.often(0.5):
            record[field] = "" if value is None and field == "ring_ms" and frame.often(0.3) else value
    if frame.often(0.05):
        record["unknown"] = {"deep": [1.5, None]}
    return record


def _other(frame: Frame, tenant: str, time: int) -> dict[str, Any]:
    rng, disputes = frame.rng, frame.flavour in {"disputes", "owners"}
    weights = (8, 3, 5, 8, 1) if frame.flavour == "owners" else (10, 6, 3, 2, 1)
    kind = rng.choices(("complaint", "finding", "application", "tenant", "review"), weights)[0]
    pool = 12 if disputes or frame.flavour == "long" else 40
    record: dict[str, Any] = {"type": kind, "tenant_id": tenant, "updated_ms": time}
    if kind == "complaint":
        return record | {
            "complaint_id": f"p{rng.randint(0, pool)}",
            "category": rng.choice(CATEGORIES if frame.often(0.6 if disputes else 0.1) else MILD),
            "status": rng.choices(("received", "verified", "dismissed"), (4, 4, 1))[0],
            "complainant": rng.choice(("w1", "w2", "w3", "", None)),
            "reported_ms": frame.start - DAY,
            "call_id": rng.choice((None, "c1")),
        }
    if kind == "finding":
        return record | {
            "finding_id": f"f{rng.randint(0, pool)}",
            "behaviour": rng.choice(("in_call_abuse", *MINOR) if disputes else MINOR),
            "status": rng.choices(("suspected", "confirmed", "dismissed"), (2, 6, 1))[0],
            "actual_business": rng.choice(TEXTS if disputes or frame.often(0.3) else (None, "宠物用品", "Network 12")),
            "catalogue_row": rng.choices((None, "", "loans", "no-such-row"), (16, 2, 1, 1))[0],
        }
    if kind == "application":
        return record | {
            "application_id": f"n{rng.randint(0, 4)}",
            "declared_business": rng.choice(TEXTS) or "",
            "scenario": rng.choice(TEXTS),
        }
    if kind == "tenant":
        declared = [rng.choice(TEXTS) or "" for _ in range(rng.choice((0, 1, 1, 2, 3)))]
        named = {"owner_id": rng.choice(("o1", "o1", "o2", "o3", "", None))} if frame.flavour == "owners" else {}
        return record | {"name": "a name", "declared_businesses": declared, "numbers": []} | named
    return record | {
        "review_id": f"v{rng.randint(0, 9)}",
        "enforcement_id": "no-such-event",
        "verdict": rng.choice(("uphold", "overturn", "approve", "reject")),
        "reviewer": "ops-1",
        "reason": "",
    }


def _hostile(frame: Frame, time: int) -> str:
    """A line that is not a record: one corrupted field of a call, a fragment, another JSON value, white space."""
    call = _call(frame, "t0", time, "c0")
    field, value = frame.rng.choice(
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
    call[field] = value
    whole = json.dumps(call)
    others = (whole[:-9], f"[{whole}]", "null", "{}", "", "   ", "\t", whole * 2)
    return whole if frame.often(0.4) else frame.rng.choice(others)
