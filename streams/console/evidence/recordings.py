"""Finds the recordings of the calls that complaints and findings name: the records have only the call's id."""

from collections.abc import Collection
from typing import Any, Final
from urllib.parse import quote

import msgspec
from sqlalchemy import Connection, select

from streams.console.evidence.tables import EVIDENCE, KEPT
from streams.console.tables import CASES, NAMED_IDS

MOST_CASES: Final = 20
_MOST_RECORDS: Final = 1_000


def recording_url(template: str | None, call_id: str | None, recording_id: str | None) -> str | None:
    """The address of a recording by the template of the settings; None if an id that it needs is not known."""
    if template is None:
        return None
    values = {"{recording}": recording_id, "{call}": call_id}
    for place, value in values.items():
        if place in template:
            if not value:
                return None
            # Braces of an id are encoded, so that it holds no other place.
            template = template.replace(place, quote(value, safe="").replace(".", "%2E"))
    return template


def kept_calls(connection: Connection, tenant_id: str, call_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The fields of those calls of the tenant that are kept as evidence of one of its decisions, by id."""
    n, c, e = NAMED_IDS.c, CASES.c, EVIDENCE.c
    named = select(c.id, c.in_force_id).join(NAMED_IDS, n.case_id == c.id)
    named = named.where(n.named.in_(sorted(call_ids)), c.tenant_id == tenant_id).order_by(n.at_ms.desc())
    decisions = {each for row in connection.execute(named.limit(MOST_CASES)) for each in row} if call_ids else set()
    if not decisions:
        return {}
    kept = (e.enforcement_id.in_(sorted(decisions)), e.tenant_id == tenant_id, e.state == KEPT)
    values = connection.execute(select(e.value).where(*kept).limit(_MOST_RECORDS)).scalars()
    records = [msgspec.json.decode(value) for value in values if value is not None]
    return {one["call_id"]: one for one in records if one["type"] == "cdr" and one["call_id"] in call_ids}
