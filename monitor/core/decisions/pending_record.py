"""Pending records: records that are not calls and wait for the watermark, and the order in which they are decided."""

from typing import Any, NamedTuple

from monitor.core.record_ref import RecordRef
from schemas.inputs import Application, Complaint, Finding, Review, Tenant

_ORDER = 5  # the fields of a `PendingRecord` that make the decision order

Other = Complaint | Finding | Tenant | Application | Review

# The order of records at one instant: by type, then by id, then by status (section 3 of the contract).
_TYPE_ORDER = {Tenant: 0, Application: 1, Complaint: 2, Finding: 3, Review: 4}
_STATUS_ORDER = {
    "received": 0,
    "suspected": 0,
    "verified": 1,
    "confirmed": 1,
    "dismissed": 2,
    "uphold": 0,
    "overturn": 1,
    "approve": 0,
    "reject": 1,
}


class PendingRecord(NamedTuple):
    """A record that waits for the watermark. The fields before ``record`` form the decision order.

    ``ref`` is where it was read, and breaks ties by reading order. ``at_ms`` is its event time, raised to the late line
    of its source if it came below that line. ``signature`` is the header that signed it, if any.
    """

    at_ms: int
    type_order: int
    id: str
    status_order: int
    ref: RecordRef
    record: Other
    raw: bytes
    signature: bytes | None = None

    @property
    def place(self) -> "Place":
        """Its place in the decision order."""
        return self[:_ORDER]

    @property
    def weight(self) -> int:
        """The cost to decide it, in records without a text to match against the catalogue."""
        match self.record:
            case Application(declared_business=business, scenario=scenario):
                texts = [business, scenario or ""]
            case Finding(actual_business=business):
                texts = [business or ""]
            case Tenant(declared_businesses=businesses):
                texts = businesses
            case _:
                return 1
        # Normalisation expands a character to up to 6 characters, and each of these two to up to 18.
        expands = any("\ufdfa" in text or "\ufdfb" in text for text in texts)
        return 1 + len(texts) // 3 + sum(map(len, texts)) // (6 if expands else 30)

    @classmethod
    def of(
        cls, record: Other, at_ms: int, ref: RecordRef, raw: bytes, signature: bytes | None = None
    ) -> "PendingRecord":
        """Create the pending form of ``record``. ``raw`` holds its original bytes."""
        status = getattr(record, "status", None) or getattr(record, "verdict", None) or ""
        return cls(
            at_ms,
            _TYPE_ORDER[type(record)],
            id_of(record),
            _STATUS_ORDER.get(status, 0),
            ref,
            record,
            raw,
            signature,
        )


Place = tuple[Any, ...]
"""A place in the decision order: the first fields of a `PendingRecord`, which compares with it."""


def id_of(record: Other) -> str:
    """The record's own id."""
    match record:
        case Complaint():
            return record.complaint_id
        case Finding():
            return record.finding_id
        case Application():
            return record.application_id
        case Review():
            return record.review_id
        case Tenant():
            return record.tenant_id
