"""One line to one record as a plain dict, or None where section 2 of the contract rejects it."""

import json
from typing import Any

YEAR_1990 = 631_152_000_000
YEAR_2100 = 4_102_444_800_000

DIRECTIONS = {"outbound", "inbound"}
OUTCOMES = {
    "answered",
    "no_answer",
    "busy",
    "rejected",
    "invalid_number",
    "unreachable",
    "carrier_blocked",
    "policy_blocked",
    "cancelled",
    "failed",
}
HANGUP = {"caller", "callee", "system"}
ANSWERED_BY = {"human", "machine"}
CATEGORIES = {"fraud", "harassment", "abuse", "no_consent", "number_leak", "prohibited_business", "other"}
BEHAVIOURS = {"undeclared_business", "in_call_abuse", "blind_calling", "no_consent"}

# field -> (its type, whether it may be null)
SHAPES: dict[str, dict[str, tuple[Any, bool]]] = {
    "cdr": {
        "call_id": ("id", False),
        "tenant_id": ("id", False),
        "direction": (DIRECTIONS, False),
        "caller": ("party", False),
        "callee": ("party", False),
        "start_ms": ("ms", False),
        "ring_ms": ("ms", True),
        "answer_ms": ("ms", True),
        "end_ms": ("ms", False),
        "outcome": (OUTCOMES, False),
        "hangup_by": (HANGUP, True),
        "answered_by": (ANSWERED_BY, True),
        "agent_id": ("id", True),
        "campaign_id": ("id", True),
        "recording_id": ("id", True),
        "consent_id": ("id", True),
        "source": ("text", True),
        "sip_code": (range(100, 700), True),
        "q850": (range(128), True),
        "attestation": ({"A", "B", "C"}, True),
    },
    "complaint": {
        "complaint_id": ("id", False),
        "tenant_id": ("id", False),
        "category": (CATEGORIES, False),
        "status": ({"received", "verified", "dismissed"}, False),
        "channel": ("text", True),
        "complainant": ("id", True),
        "caller": ("id", True),
        "call_id": ("id", True),
        "occurred_ms": ("ms", True),
        "reported_ms": ("ms", False),
        "updated_ms": ("ms", False),
    },
    "finding": {
        "finding_id": ("id", False),
        "tenant_id": ("id", False),
        "behaviour": (BEHAVIOURS, False),
        "status": ({"suspected", "confirmed", "dismissed"}, False),
        "declared_business": ("text", True),
        "actual_business": ("text", True),
        "catalogue_row": ("id", True),
        "call_id": ("id", True),
        "inspector": ("text", True),
        "updated_ms": ("ms", False),
    },
    "tenant": {
        "tenant_id": ("id", False),
        "name": ("text", True),
        "declared_businesses": ("texts", False),
        "numbers": ("texts", False),
        "updated_ms": ("ms", False),
        "owner_id": ("id", True),
    },
    "application": {
        "application_id": ("id", False),
        "tenant_id": ("id", False),
        "declared_business": ("text", False),
        "scenario": ("text", True),
        "updated_ms": ("ms", False),
    },
    "review": {
        "review_id": ("id", False),
        "enforcement_id": ("id", False),
        "tenant_id": ("id", False),
        "verdict": ({"uphold", "overturn", "approve", "reject"}, False),
        "kind": ({"termination", "ban"}, True),
        "reviewer": ("text", False),
        "reason": ("text", False),
        "updated_ms": ("ms", False),
    },
}

ID_FIELD = {
    "cdr": "call_id",
    "complaint": "complaint_id",
    "finding": "finding_id",
    "tenant": "tenant_id",
    "application": "application_id",
    "review": "review_id",
}


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _is_text(value: Any, least: int, most: int) -> bool:
    return isinstance(value, str) and least <= len(value) <= most


def _has_lone_surrogate(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_lone_surrogate(k) or _has_lone_surrogate(v) for k, v in value.items())
    if isinstance(value, list):
        return any(map(_has_lone_surrogate, value))
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # only a lone surrogate has no UTF-8
        return True
    return False


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, set):
        return isinstance(value, str) and value in shape
    if isinstance(shape, range):
        return isinstance(value, int) and not isinstance(value, bool) and value in shape
    if shape == "ms":
        return isinstance(value, int) and not isinstance(value, bool) and YEAR_1990 <= value < YEAR_2100
    if shape == "id":
        return _is_text(value, 1, 128)
    if shape == "party":
        return _is_text(value, 1, 64)
    if shape == "texts":
        return isinstance(value, list) and len(value) <= 1_000 and all(_is_text(item, 0, 4096) for item in value)
    return _is_text(value, 0, 4096)


def parse(line: str | bytes) -> dict[str, Any] | None:
    """The record with its known fields (optional ones None when null, empty or missing), or None: invalid."""
    try:
        text = line.decode("utf-8") if isinstance(line, bytes) else line
        raw = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str) or raw["type"] not in SHAPES:
        return None
    if _has_lone_surrogate(raw):
        return None
    record: dict[str, Any] = {"type": raw["type"]}
    for field, (shape, optional) in SHAPES[raw["type"]].items():
        value = raw.get(field)
        if optional and (value is None or value == ""):
            record[field] = None
        elif field in raw and _fits(value, shape):
            record[field] = value
        else:
            return None
    if record["type"] == "cdr":
        times = [record[f] for f in ("start_ms", "ring_ms", "answer_ms", "end_ms") if record[f] is not None]
        if times != sorted(times):
            return None
        if (record["answer_ms"] is not None) != (record["outcome"] == "answered"):
            return None
    return record


def written_time(record: dict[str, Any]) -> int:
    """The event time as it is written in the record."""
    time: int = record["end_ms"] if record["type"] == "cdr" else record["updated_ms"]
    return time
