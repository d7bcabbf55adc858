"""Formats the result of an audit as text and as JSON, with phone numbers masked."""

from collections.abc import Iterator
from typing import Any

from monitor.text.display import DEFAULT, RECORDS, Display
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import rfc3339
from streams.audit.compare import EventDifference
from streams.audit.partition import Audited
from streams.audit.run import AuditReport

_SHOWN = 160  # characters of a value


def partition(one: Audited) -> Iterator[str]:
    """Lines on how far a partition was compared, and what could not be checked."""
    since = f" from {rfc3339(one.from_ms)}" if one.from_ms else ""
    decisions = one.compared.get("enforcement")
    if decisions is not None:
        upto = f"up to {rfc3339(one.judged_ms)}" if one.judged_ms else "nothing was judged yet"
        line = f"{decisions.same:,} decisions as expected, {len(decisions.differences):,} differences"
        shadow = one.compared["shadow"]
        if shadow.same or shadow.differences:
            line += f"; shadow: {shadow.same:,} and {len(shadow.differences):,}"
        evidence = one.compared["evidence"]
        if evidence.same or evidence.differences:
            line += f"; evidence: {evidence.same:,} and {len(evidence.differences):,}"
        measures = one.compared["measures"]
        if measures.same or measures.differences:
            line += f"; measures: {measures.same:,} and {len(measures.differences):,}"
        yield f"partition {one.number}{since} {upto}: {line}; {one.records:,} records judged"
        if decisions.due:
            yield f"  not taken yet: {decisions.due:,} decisions that the logs allow so far"
        if decisions.later:
            yield f"  not compared: {decisions.later:,} decisions before or after that time"
    for note in one.notes:
        yield f"  {note}"
    for why in one.unchecked:
        yield f"partition {one.number} NOT CHECKED: {why}"


def difference(one: EventDifference, display: Display = DEFAULT) -> Iterator[str]:
    """Lines on one difference: the event, its place, and the fields."""
    kind = " (wording alone)" if one.what == "changed" and not one.decision else ""
    where = f"{one.topic}-{one.number}" + ("" if one.offset is None else f" offset {one.offset}")
    why = display.text(one.why, _ids(one), _SHOWN)
    yield f"{one.what}{kind}: {_event(one, display)}, {where}" + (f": {why}" if why else "")
    for field in _fields(one, display):
        yield f"    {field['path']}: expected {field['expected']}, found {field['found']}"


def verdict(report: AuditReport) -> str:
    """The final sentence."""
    decisions = sum(one.decision for one in report.differences)
    unchecked = sum(bool(one.unchecked) for one in report.partitions)
    if report.clean:
        return "as expected: no decision was lost, invented or changed in what was compared"
    parts = []
    if report.differences:
        parts.append(f"{len(report.differences):,} differences, {decisions:,} of them of decisions")
    if unchecked:
        parts.append(f"{unchecked:,} of {len(report.partitions):,} partitions could not be checked, or not completely")
    return "NOT as expected: " + "; ".join(parts)


def plain(report: AuditReport) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "clean": report.clean,
        "records": sum(one.records for one in report.partitions),
        "partitions": [
            {
                "partition": one.number,
                "from_ms": one.from_ms,
                "judged_ms": one.judged_ms,
                "records": one.records,
                "unchecked": one.unchecked,
                "notes": one.notes,
                **{
                    name: {"same": compared.same, "later": compared.later, "due": compared.due}
                    for name, compared in one.compared.items()
                },
            }
            for one in report.partitions
        ],
        "differences": [
            {
                "what": one.what,
                "decision": one.decision,
                "topic": one.topic,
                "partition": one.number,
                "offset": one.offset,
                "id": RECORDS.id(one.id),
                "tenant_id": RECORDS.id(_of(one.event, "subject")),
                "decided_ms": one.decided_ms,
                "why": DEFAULT.text(one.why, _ids(one)),
                "fields": _fields(one, DEFAULT),
            }
            for one in report.differences
        ],
    }


def _event(one: EventDifference, display: Display) -> str:
    if not isinstance(one.event, dict):
        return "a record"
    data = one.event.get("data")
    data = data if isinstance(data, dict) else {}
    what = " ".join(_of(data, name) for name in ("kind", "status", "rule_id"))
    policy = data.get("policy")
    under = f" under {_of(policy, 'sha256')[:12]}" if isinstance(policy, dict) else ""
    who = f"{display.id(one.id)} tenant {display.id(_of(one.event, 'subject'))}"
    return f"{who}, {display.text(what, _ids(one), _SHOWN)}{under}, decided {rfc3339(one.decided_ms)}"


def _of(event: Any, name: str) -> str:
    return str(event.get(name, "")) if isinstance(event, dict) else ""


def _ids(one: EventDifference) -> tuple[str, ...]:
    fields = ({change.path.rpartition(".")[2]: value} for change in one.changes for value in (change.a, change.b))
    return (one.id, *ids_of(one.event, *fields))


def _fields(one: EventDifference, display: Display) -> list[dict[str, str]]:
    ids, fields = _ids(one), []
    for change in one.changes:
        of_reason = change.path.startswith("data.reason")
        expected, found = (display.field(each, ids, _SHOWN, of_reason=of_reason) for each in (change.a, change.b))
        fields.append({"path": change.path, "expected": expected, "found": found})
    return fields
