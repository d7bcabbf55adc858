"""Compares two runs: events by their content, never by their ids, which differ between implementations."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from oracle.hourly import wrong_measures
from oracle.tenants import Outcome, id_of

RECORD_IDS = ("complaint_ids", "finding_ids", "application_ids", "review_ids")


def as_output(outcome: Outcome) -> dict[str, Any]:
    """The oracle's outcome in the form of the product's files: events flat (``id`` and the fields of `data`)."""

    def event(e: dict[str, Any]) -> dict[str, Any]:
        flat = {k: v for k, v in e.items() if k != "key"}
        flat["id"] = id_of(e["key"])
        for name in ("reverses", "supersedes"):
            flat[name] = None if e[name] is None else id_of(e[name])
        flat["evidence"] = {**e["evidence"], "enforcement_ids": [id_of(k) for k in e["evidence"]["enforcement_ids"]]}
        flat["escalations_affected"] = [
            {**one, "enforcement_id": id_of(one["enforcement_id"])} for one in e["escalations_affected"]
        ]
        return flat

    def alert(a: dict[str, Any]) -> dict[str, Any]:
        named = a["enforcement"]
        return {k: v for k, v in a.items() if k != "enforcement"} | {"enforcement_id": named and id_of(named)}

    return {
        "enforcement": [event(e) for e in outcome.enforcement],
        "shadow": [event(e) for e in outcome.shadow],
        "alerts": [alert(a) for a in outcome.alerts],
        "windows": outcome.windows,
        "measures": outcome.measures,
        "late": [c["call_id"] for c in outcome.late],
        "rejected": [(file, line) for file, line, _ in outcome.rejected],
        "summary": outcome.summary,
        "holds": [id_of(k) for keys in outcome.holds.values() for k in keys],
    }


def holds(events: list[dict[str, Any]]) -> list[str]:
    """Billing's rule over flat events: the ids that still freeze refunds."""
    gone = {e[name] for e in events for name in ("reverses", "supersedes")}
    return [e["id"] for e in events if e["refunds"] == "frozen" and e["id"] not in gone]


def names(events: list[dict[str, Any]]) -> dict[str, str]:
    """Event id -> a name from the event's content: tenant, kind, status, rule, instant and cause.

    Admissions that apply at the same instant can have the same content: two versions of one application, or records of
    a tenant. What followed distinguishes these, and if that is the same, too, a number.
    """
    by_id = {e["id"]: e for e in events}
    named: dict[str, str] = {}
    assert len(by_id) == len(events), "two events have one id"
    followed: dict[str, list[Any]] = defaultdict(list)
    alike: dict[str, list[str]] = defaultdict(list)
    for e in events:
        for field in ("reverses", "supersedes"):
            if e[field] is not None:
                followed[e[field]].append([e["decided_ms"], e["kind"], *(e["evidence"][kind] for kind in RECORD_IDS)])
        if e["kind"].startswith("admission"):
            alike[_content(e)].append(e["id"])

    def name(event_id: str) -> str:
        if event_id not in by_id:
            return f"?{event_id}"
        if event_id not in named:
            e = by_id[event_id]
            whole = _content(e)
            if e["reverses"]:
                whole += "|<" + name(e["reverses"]) + ">"
            else:
                whole += "".join(sorted("|<" + name(x) + ">" for x in e["evidence"]["enforcement_ids"]))
            same = (
                sorted(alike[_content(e)], key=lambda one: followed[one]) if e["kind"].startswith("admission") else []
            )
            if len(same) > 1:
                whole += f"#{same.index(event_id) + 1}"
            named[event_id] = whole
        return named[event_id]

    for event_id in by_id:
        name(event_id)
    assert len(set(named.values())) == len(events), "two events say the same"
    return named


def _content(e: dict[str, Any]) -> str:
    """The part of an event's name that names no other event."""
    parts = [e["tenant_id"], e["kind"], e["status"], e["rule_id"], str(e["decided_ms"])]
    if not e["reverses"]:
        parts += [x for kind in RECORD_IDS for x in e["evidence"][kind] if e["measure"] is None or kind == "review_ids"]
    return "|".join(parts)


def renamed(event: dict[str, Any], called: Mapping[str, str]) -> dict[str, Any]:
    """The event with each event id replaced by its name."""
    out = {k: v for k, v in event.items() if k not in {"id", "policy", "reason"}}
    for field in ("reverses", "supersedes"):
        out[field] = None if event[field] is None else called.get(event[field], f"?{event[field]}")
    ids = sorted(called.get(x, f"?{x}") for x in event["evidence"]["enforcement_ids"])
    out["evidence"] = {**event["evidence"], "enforcement_ids": ids}
    out["escalations_ahead"] = event.get("escalations_ahead", [])
    out["escalations_affected"] = [
        {**one, "enforcement_id": called.get(one["enforcement_id"], f"?{one['enforcement_id']}")}
        for one in event.get("escalations_affected", [])
    ]
    return out


def same(expected: Any, actual: Any, rel: float = 1e-11) -> bool:
    """Equal, numbers within ``rel`` of their value; of a dict only the keys of ``expected`` are compared."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        return math.isclose(expected, actual, rel_tol=rel, abs_tol=0.0)
    if isinstance(expected, dict) and isinstance(actual, dict):
        return all(k in actual and same(v, actual[k], rel) for k, v in expected.items())
    if isinstance(expected, list | tuple) and isinstance(actual, list | tuple):
        return len(expected) == len(actual) and all(same(a, b, rel) for a, b in zip(expected, actual, strict=True))
    return bool(expected == actual)


def differences(oracle: dict[str, Any], product: dict[str, Any]) -> list[str]:
    """Every difference between two outputs in the form of `as_output`, one line each; none when they agree."""
    found: list[str] = []
    called = [names(side["enforcement"]) for side in (oracle, product)]
    for part in ("enforcement", "shadow"):
        sides = []
        for side, called_here in zip((oracle, product), called, strict=True):
            own = names(side[part]) if part == "shadow" else called_here
            sides.append({own[e["id"]]: renamed(e, called_here) for e in side[part]})
        found += _by_name(part, sides[0], sides[1])
    alerts = []
    for side, called_here in zip((oracle, product), called, strict=True):
        keyed = {}
        for a in side["alerts"]:
            kept = {k: v for k, v in a.items() if k not in {"type", "alert_id", "reason"}}
            if kept["enforcement_id"] is not None:
                kept["enforcement_id"] = called_here.get(kept["enforcement_id"], f"?{kept['enforcement_id']}")
            name = f"{a['tenant_id']}|{a['rule_id']}|{a['updated_ms']}|{a['state']}"
            assert name not in keyed, f"two alerts {name}"
            keyed[name] = kept
        alerts.append(keyed)
    found += _by_name("alert", alerts[0], alerts[1])
    windows = [
        {f"{w['tenant_id']}|{w['rule_id']}|{w['end_ms']}": w for w in side["windows"]} for side in (oracle, product)
    ]
    found += _by_name("window", windows[0], windows[1])
    if "measures" in product:
        found += wrong_measures(oracle["measures"], product["measures"])
    for part in ("late", "rejected"):
        if sorted(oracle[part]) != sorted(product[part]):
            found.append(f"{part}: oracle {oracle[part]} product {product[part]}")
    for name, count in oracle["summary"].items():
        if product["summary"].get(name) != count:
            found.append(f"summary {name}: oracle {count} product {product['summary'].get(name)}")
    ours, theirs = ({c[i] for i in side["holds"]} for side, c in zip((oracle, product), called, strict=True))
    if ours != theirs:
        found.append(f"holds: oracle only {sorted(ours - theirs)} product only {sorted(theirs - ours)}")
    return found


def _by_name(part: str, oracle: dict[str, Any], product: dict[str, Any]) -> list[str]:
    found = []
    for name in sorted(oracle.keys() | product.keys()):
        if name not in product:
            found.append(f"{part} {name}: only the oracle has it: {oracle[name]}")
        elif name not in oracle:
            found.append(f"{part} {name}: only the product has it: {product[name]}")
        else:
            for field, value in oracle[name].items():
                theirs = product[name].get(field)
                if not same(value, theirs):
                    found.append(f"{part} {name}: {field}: oracle {value!r} product {theirs!r}")
    return found
