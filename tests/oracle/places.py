"""Section 1, `callwarden.evidence`: where the records lie that a decision names, in plain loops over the logs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oracle.measures import OF_PARTIES
from oracle.policy_timeline import Reign, places_kept, reign_of
from oracle.reading import Read

Place = tuple[int, int]  # source, offset
_STATUS = {"received": 0, "suspected": 0, "verified": 1, "confirmed": 1, "dismissed": 2}
_IDS = {
    "call_ids": ("cdr", "call_id"),
    "complaint_ids": ("complaint", "complaint_id"),
    "finding_ids": ("finding", "finding_id"),
    "application_ids": ("application", "application_id"),
    "review_ids": ("review", "review_id"),
}


def wrong_places(
    read: Read, reigns: Sequence[Reign], events: Sequence[dict[str, Any]], found: Mapping[str, list[Place]]
) -> Iterator[str]:
    """What differs between the places ``found`` by event id and those of the records that the events name.

    ``events`` are in the order of their topics, so that an event comes after the one that it supersedes.
    """
    known: dict[str, dict[tuple[str, str], set[Place]]] = {}
    for event in events:
        earlier = known.get(event["supersedes"], {})
        mine = known[event["id"]] = {}
        expected = _of_keys(read, reigns, event)
        for kind in _IDS:
            for name in event["evidence"][kind]:
                mine[kind, name] = earlier.get((kind, name)) or _of_id(read, event, kind, name)
                expected.append(mine[kind, name])
        there = found.get(event["id"], [])
        if len(there) != len(expected) or not all(p in some for p, some in zip(there, expected, strict=True)):
            yield f"evidence of {event['id']} ({event['rule_id']}): expected {expected}, got {there}"
    named = {event["id"] for event in events}
    yield from (f"evidence of {name}, which is no decision" for name in found if name not in named)


def _of_id(read: Read, event: dict[str, Any], kind: str, name: str) -> set[Place]:
    """The place of an id's record that was decided last; several if records of one instant may be meant."""
    wanted, field = _IDS[kind]
    if wanted == "cdr":
        mine = [c for c in read.calls if c["tenant_id"] == event["tenant_id"] and c["call_id"] == name]
        last = max((c for c in mine if c["t"] < event["window"]["end_ms"]), key=lambda c: c["t"], default=None)
        return set() if last is None else {_place(last)}
    mine = [r for r in read.others if r["type"] == wanted and r["tenant_id"] == event["tenant_id"] and r[field] == name]
    if event["window"] is None or wanted != "complaint":
        statuses = ("dismissed", None) if event["kind"] == "reversal" else ("verified", "confirmed", None)
        return {_place(r) for r in mine if r["t"] == event["decided_ms"] and r.get("status") in statuses}
    first: dict[str, dict[str, Any]] = {}  # another record of the same status is a duplicate
    for record in sorted(mine, key=lambda r: (r["t"], _STATUS[r["status"]], r["seq"])):
        if record["t"] < event["decided_ms"]:
            first.setdefault(record["status"], record)
    return {_place(record) for record in list(first.values())[-1:]}


def _of_keys(read: Read, reigns: Sequence[Reign], event: dict[str, Any]) -> list[set[Place]]:
    """The newest attempts of the window of a metric of keys; of consents the answered calls."""
    if event["measure"] is None or event["measure"]["metric"] not in OF_PARTIES:
        return []
    window, metric = event["window"], event["measure"]["metric"]
    number = reign_of(reigns, event["decided_ms"])
    calls = [
        c
        for c in read.calls
        if c["tenant_id"] == event["tenant_id"]
        and window["start_ms"] <= c["t"] < window["end_ms"]
        and c["direction"] == "outbound"
        and (c["outcome"] == "answered" if metric == "consent_peak" else c["outcome"] != "policy_blocked")
        and places_kept(reigns, number, metric == "consent_peak", c["t"])
    ]
    last = {c["call_id"]: c for c in sorted(calls, key=lambda c: c["t"])}  # of an id that was used again, the newest
    newest = sorted((c["t"], c["call_id"], _place(c)) for c in last.values())[-20:]
    return [{place} for _, place in sorted((name, place) for _, name, place in newest)]


def _place(record: dict[str, Any]) -> Place:
    return record["file"], record["line"]
