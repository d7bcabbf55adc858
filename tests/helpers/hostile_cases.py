"""A console's tables with as many cases of one tenant as it likes, and the steps that SQLite takes to answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, event, insert

from helpers.console_pages import alerted, decided
from oracle.ledger import T0
from streams.console.cases.case_counts import count_case
from streams.console.tables import ALERTS, CASES, EVENTS, NAMED_IDS, TENANTS

TENANT: Final = "hostile"
RULE: Final = "short-calls-day"
_AT_ONCE: Final = 2_000
_STEPS: Final = 100


@contextmanager
def steps() -> Iterator[list[int]]:
    """The steps that SQLite takes in the block on new connections, to a hundred: time without a clock."""
    taken = [0]

    def count() -> None:
        taken[0] += _STEPS

    def connected(connection: Any, _: object) -> None:
        connection.set_progress_handler(count, _STEPS)

    event.listen(Engine, "connect", connected)
    try:
        yield taken
    finally:
        event.remove(Engine, "connect", connected)


def fill(connection: Connection, cases: int) -> None:
    """That many cases of a tenant that wait, and as many each that lapsed and that are in force, all of one rule and
    one time, with shadow decisions and resolved alerts; all name one call. As many other tenants of the same owner have
    a firing alert each.
    """
    example = decided(1, TENANT, T0, status="pending_review")
    alert = alerted(TENANT, T0, "resolved")
    event_row = {"topic": "e", "partition": 0, "offset": 0, "timestamp_ms": T0, "key": None}
    event_row |= {"tenant_id": TENANT, "rule_id": RULE, "kind": "warning", "decided_ms": T0}
    value = msgspec.json.encode(example)
    event_row["value"] = value
    case_row = {"tenant_id": TENANT, "rule_id": RULE, "behaviour": example.data.behaviour, "tier": "minor"}
    case_row |= {"kind": "warning", "decided_ms": T0, "review_by_ms": T0 + 1, "order_ms": T0 + 1}
    alert_row: dict[str, Any] = {name: getattr(alert, name) for name in ("tenant_id", "rule_id", "severity", "state")}
    alert_row |= {"since_ms": T0, "updated_ms": T0, "enforcement_id": None, "value": msgspec.json.encode(alert)}
    tenant_row = {"name": None, "name_folded": None, "owner_id": "owner", "businesses": "[]", "numbers": 0}
    tenant_row |= {"updated_ms": T0}
    states = (("pending", "cases"), ("lapsed", None), ("final", None))
    for first in range(0, cases, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, cases))
        for status, queue in states:
            ids = [f"{status}-{number:06}" for number in numbers]
            values = [value.replace(example.id.encode(), i.encode()) for i in ids]
            connection.execute(
                insert(CASES), [case_row | {"id": i, "in_force_id": i, "status": status, "queue": queue} for i in ids]
            )
            connection.execute(
                insert(EVENTS),
                [
                    event_row | {"id": i, "case_id": i, "shadow": False, "value": value}
                    for i, value in zip(ids, values, strict=True)
                ],
            )
            connection.execute(insert(NAMED_IDS), [{"named": RULE, "case_id": i, "at_ms": T0} for i in ids])
        shadows = [f"shadow-{number:06}" for number in numbers]
        connection.execute(insert(EVENTS), [event_row | {"id": i, "case_id": i, "shadow": True} for i in shadows])
        connection.execute(insert(ALERTS), [alert_row | {"alert_id": f"alert-{number:06}"} for number in numbers])
        others = [{"tenant_id": f"{TENANT}-{number}", "alert_id": f"firing-{number:06}"} for number in numbers]
        connection.execute(insert(ALERTS), [alert_row | {"state": "firing"} | other for other in others])
        connection.execute(insert(TENANTS), [tenant_row | {"tenant_id": f"{TENANT}-{number}"} for number in numbers])
    for status, _ in states:
        count_case(connection, TENANT, status, "warning", cases)
    connection.execute(insert(TENANTS).values(tenant_row | {"tenant_id": TENANT, "name": "n", "name_folded": "n"}))
