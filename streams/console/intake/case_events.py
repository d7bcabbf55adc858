"""Stores decisions, shadow decisions and alerts: each decision opens a case, or changes or closes one."""

from typing import Any, Final

from sqlalchemy import Connection, select, update

from monitor.report.labels import KINDS, label
from schemas.outputs import Enforcement
from streams.console.cases.case_counts import count_case
from streams.console.intake.places import check_lengths, place_of
from streams.console.tables import ALERTS, CASES, EVENTS, NAMED_IDS, VERDICTS
from streams.consumers.follower import FollowedRecord
from streams.consumers.record_decoding import alert_of, event_of
from streams.consumers.sql_common import insert_new, inserted

_WAITS: Final = "admission_review"


def store_decision(connection: Connection, record: FollowedRecord) -> None:
    """Store an event of the enforcement topic, and open, change or close its case. Raises UndecodableRecord."""
    event = event_of(record.value)
    data = event.data
    check_lengths(id=event.id, tenant_id=event.subject, rule_id=data.rule_id, behaviour=data.behaviour)
    earlier_id = data.reverses or data.supersedes
    earlier = _case_with(connection, earlier_id) if earlier_id is not None else None
    case_id = earlier if earlier is not None else event.id
    if not _insert_event(connection, record, event, case_id, shadow=False):
        return  # handled before, in a topic that was moved
    _name_evidence(connection, event, case_id)
    if earlier is None:
        _open(connection, _opened(event))
    elif data.reverses is not None:
        status = "lapsed" if data.kind == "lapse" else "reversed"
        _change(connection, case_id, status=status, closed_ms=data.decided_ms, queue=None)
    else:
        _change(connection, case_id, **_in_force(event), queue=_queue(event))
    _end_verdicts(connection, case_id, event)


def _name_evidence(connection: Connection, event: Enforcement, case_id: str) -> None:
    """Remember by which ids of its evidence the case is found; each kind has at most 20."""
    evidence = event.data.evidence
    named = {*evidence.call_ids, *evidence.complaint_ids, *evidence.finding_ids, *evidence.application_ids}
    check_lengths(**{f"evidence {number}": each for number, each in enumerate(named)})
    if named:
        rows = [{"named": each, "case_id": case_id, "at_ms": event.data.decided_ms} for each in sorted(named)]
        connection.execute(insert_new(connection, NAMED_IDS), rows)


def store_shadow(connection: Connection, record: FollowedRecord) -> None:
    """Store an event of the shadow topic, which decides nothing. Raises UndecodableRecord."""
    event = event_of(record.value)
    check_lengths(id=event.id, tenant_id=event.subject, rule_id=event.data.rule_id)
    _insert_event(connection, record, event, event.id, shadow=True)


def store_alert(connection: Connection, record: FollowedRecord) -> None:
    """Store the newest state of an alert. Raises UndecodableRecord."""
    alert = alert_of(record.value)
    check_lengths(id=alert.alert_id, tenant_id=alert.tenant_id, rule_id=alert.rule_id)
    names = ("alert_id", "tenant_id", "rule_id", "severity", "state", "since_ms", "updated_ms", "enforcement_id")
    row = {name: getattr(alert, name) for name in names} | {"value": record.value}
    inserted = insert_new(connection, ALERTS).values(row).returning(ALERTS.c.alert_id)
    if connection.execute(inserted).first() is None:
        connection.execute(update(ALERTS).where(ALERTS.c.alert_id == alert.alert_id).values(row))


def _case_with(connection: Connection, event_id: str) -> str | None:
    """The id of the case that an event of this id belongs to."""
    query = select(EVENTS.c.case_id).where(EVENTS.c.id == event_id, EVENTS.c.shadow.is_(False))
    return connection.execute(query).scalar()


def _insert_event(
    connection: Connection, record: FollowedRecord, event: Enforcement, case_id: str, *, shadow: bool
) -> bool:
    data = event.data
    row = {
        "shadow": shadow,
        "id": event.id,
        "case_id": case_id,
        "tenant_id": event.subject,
        "rule_id": data.rule_id,
        "kind": data.kind,
        "decided_ms": data.decided_ms,
        **place_of(record),
    }
    return connection.execute(insert_new(connection, EVENTS).values(row).returning(EVENTS.c.id)).first() is not None


def _open(connection: Connection, row: dict[str, Any]) -> None:
    """Insert the row of a new case."""
    if inserted(connection, CASES, row):
        count_case(connection, row["tenant_id"], row["status"], row["kind"], 1)


def _opened(event: Enforcement) -> dict[str, Any]:
    """The row of a new case. A reversal or a later decision whose first event is unknown represents the case."""
    data = event.data
    if data.reverses is not None:
        closed = {"status": "lapsed" if data.kind == "lapse" else "reversed", "closed_ms": data.decided_ms}
    else:
        closed = {}
    return {
        "id": event.id,
        "tenant_id": event.subject,
        "rule_id": data.rule_id,
        "behaviour": data.behaviour,
        "tier": data.tier,
        "decided_ms": data.decided_ms,
        "order_ms": data.review_by_ms if data.review_by_ms is not None else data.decided_ms,
        "queue": _queue(event),
        **_in_force(event),
        **closed,
    }


def _in_force(event: Enforcement) -> dict[str, Any]:
    data = event.data
    status = "pending" if data.status == "pending_review" else "final"
    return {"in_force_id": event.id, "kind": data.kind, "status": status, "review_by_ms": data.review_by_ms}


def _queue(event: Enforcement) -> str | None:
    if event.data.status != "pending_review" or event.data.reverses is not None:
        return None
    return "admissions" if event.data.kind == _WAITS else "cases"


def _change(connection: Connection, case_id: str, **values: Any) -> None:
    """Change a case. What is pending now has another deadline and no verdict."""
    if values.get("queue") is None:
        values |= {"postponed_until_ms": 0, "claimed_by": None, "claimed_name": None, "claimed_until_ms": 0}
    if values.get("review_by_ms") is not None:
        values["order_ms"] = values["review_by_ms"]
    c = CASES.c
    was = connection.execute(select(c.tenant_id, c.status, c.kind).where(c.id == case_id)).one()
    count_case(connection, was.tenant_id, was.status, was.kind, -1)
    count_case(connection, was.tenant_id, values.get("status", was.status), values.get("kind", was.kind), 1)
    connection.execute(update(CASES).where(c.id == case_id).values(values))


def _end_verdicts(connection: Connection, case_id: str, event: Enforcement) -> None:
    """End the verdicts given here: those that caused the event took effect, others can have none any more."""
    v, behind = VERDICTS.c, set(event.data.evidence.review_ids)
    query = select(v.number, v.review_id, v.enforcement_id).where(
        v.case_id == case_id, v.state.in_(("approval", "waiting", "sent"))
    )
    for number, review_id, about in connection.execute(query).all():
        if review_id in behind:
            ended = {"state": "effective", "why": None}
        elif about not in (event.data.reverses, event.data.supersedes):
            continue
        else:
            kind = label(KINDS, event.data.kind)
            why = {"why": f"decided otherwise: {kind.en.lower()}", "why_zh": f"已另有决定：{kind.zh}"}
            ended = {"state": "withdrawn", **why}
        connection.execute(update(VERDICTS).where(v.number == number).values(**ended, ended_ms=event.data.decided_ms))
        connection.execute(update(CASES).where(CASES.c.verdict == number).values(verdict=None))
