"""A second implementation of the contract's rule for billing, with plain sets over all records, and random records for
it.
"""

import json
import random
from collections.abc import Iterable, Sequence
from typing import Any


def holds(records: Iterable[bytes | None]) -> dict[str, set[str]]:
    """The ids of the remaining holds on each tenant's refunds, after all these records in this order."""
    handled: set[str] = set()
    gone: set[str] = set()
    frozen: dict[str, str] = {}
    for record in records:
        event = readable(record)
        if event is None or event["id"] in handled:
            continue
        handled.add(event["id"])
        gone |= {event["data"].get("supersedes"), event["data"].get("reverses")} - {None, ""}
        if event["data"]["refunds"] == "frozen":
            frozen[event["id"]] = event["subject"]
    left: dict[str, set[str]] = {}
    for name, tenant in frozen.items():
        if name not in gone:
            left.setdefault(tenant, set()).add(name)
    return left


def readable(record: bytes | None) -> dict[str, Any] | None:
    """The event; None for a record that is not an event."""
    try:
        event: dict[str, Any] = json.loads(record or b"")
        named = [event["data"].get("supersedes") or "", event["data"].get("reverses") or ""]
        right = all(isinstance(text, str) for text in (event["id"], event["subject"], *named))
        return event if right and event["data"]["refunds"] in ("frozen", "released", "unaffected") else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


TENANTS = ("acme", "ACME", "acme ", "a/c\\me", "..", "%2e", "é", "e\u0301", "租户", "nul\0", "\\0", "💥")


def event(name: str, tenant: str, refunds: str, **data: object) -> bytes:
    """An event with the fields that billing needs; ``more`` adds fields."""
    return json.dumps({"id": name, "subject": tenant, "data": {"refunds": refunds, **data}}).encode()


def random_records(
    rng: random.Random, count: int, prefix: str = "e", tenants: Sequence[str] = TENANTS
) -> list[bytes | None]:
    """Events that hold, release, repeat, or arrive too early or too late, and some records that are not events."""
    rubbish = (None, b"", b"{}", b"\xff", b"[1]", event("x", "nobody", "thawed"), b'{"id":"y"}')
    records: list[bytes | None] = []
    names = [f"{prefix}{number}" for number in range(count)]
    for name in names:
        draw = rng.random()
        if draw < 0.05:
            records.append(rng.choice(rubbish))
            continue
        if draw < 0.15 and records:
            records.append(rng.choice(records))
            continue
        data: dict[str, object] = {"decided_ms": 1_772_000_000_000 + rng.randrange(10**9), "clause": rng.randint(1, 7)}
        if rng.random() < 0.5:
            data[rng.choice(("supersedes", "reverses"))] = rng.choice(names)
        elif rng.random() < 0.3:
            data |= {"supersedes": rng.choice((None, "")), "reverses": rng.choice((None, ""))}
        refunds = rng.choice(("frozen", "frozen", "released", "unaffected"))
        records.append(event(name, rng.choice(tenants), refunds, **data))
    return records


def batches(rng: random.Random, records: Sequence[bytes | None]) -> list[Sequence[bytes | None]]:
    """The records in batches of random size."""
    cut, pieces = 0, []
    while cut < len(records):
        size = rng.choice((1, 2, 5, 50, 1_000))
        pieces.append(records[cut : cut + size])
        cut += size
    return pieces
