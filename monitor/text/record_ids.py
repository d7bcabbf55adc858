"""The ids that a record names, so that a text which repeats one shows it."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

ID_FIELDS: Final = frozenset(
    {
        "tenant_id", "owner_id", "call_id", "complaint_id", "finding_id", "application_id", "review_id",
        "enforcement_id", "alert_id", "agent_id", "campaign_id", "consent_id", "recording_id", "complainant", "rule_id",
        "id", "subject", "reverses", "supersedes",
    }
)  # fmt: skip
"""The fields that hold one id: those of the contract, and those of an enforcement event."""

_MOST_OF_A_SORT: Final = 20  # ids of evidence; a record that another program wrote can have more
_EVIDENCE: Final = frozenset(
    {"call_ids", "complaint_ids", "finding_ids", "application_ids", "review_ids", "enforcement_ids"}
)


def ids_of(*records: Any) -> tuple[str, ...]:
    """The ids in these records and in what they contain: structs, or the objects that JSON gives."""
    return tuple(dict.fromkeys(found for record in records for found in _ids(record)))


def _ids(record: Any) -> Iterator[str]:
    if isinstance(record, msgspec.Struct):
        fields: Any = ((name, getattr(record, name)) for name in record.__struct_fields__)
    elif isinstance(record, dict):
        fields = record.items()
    else:
        return
    for name, value in fields:
        if name in ID_FIELDS and isinstance(value, str):
            yield value
        elif name in _EVIDENCE and isinstance(value, list | tuple):
            yield from (each for each in value[:_MOST_OF_A_SORT] if isinstance(each, str))
        elif name in ("data", "evidence"):
            yield from _ids(value)
