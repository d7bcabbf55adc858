"""Pending records: records that are not calls and wait for the watermark, and the order in which they are decided."""

from typing import Any, NamedTuple

from monitor.core.record_ref import RecordRef
from schemas.inputs import Application, Complaint, Finding, Review, Tenant

_ORDER = 5  # the fields of a `PendingRecord` that make the decision order

Other = Complaint | Finding | Tenant | Application | Review


class _OrderOfType(NamedTuple):
    """The place of a type among the others, and the fields with a record's own id and its status, if it has one."""

    type_order: int
    id_field: str
    status_field: str | None = None


# The order of records at one instant: by type, then by id, then by status (section 3 of the contract).
_ORDERS = {
    Tenant: _OrderOfType(0, "tenant_id"),
    Application: _OrderOfType(1, "application_id"),
    Complaint: _OrderOfType(2, "complaint_id", "status"),
    Finding: _OrderOfType(3, "finding_id", "status"),
    Review: _OrderOfType(4, "review_id", "verdict"),
}
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
        type_order, id_field, status_field = _ORDERS[type(record)]
        own_id: str = getattr(record, id_field)
        status_order = _STATUS_ORDER[getattr(record, status_field)] if status_field else 0
        return cls(at_ms, type_order, own_id, status_order, ref, record, raw, signature)


Place = tuple[Any, ...]
"""A place in the decision order: the first fields of a `PendingRecord`, which compares with it."""
