"""Storage of tenant records: one entry for the tenant itself, and pages for everything that grows with its records.

Entries: ``t<tenant>`` name, owner, declared businesses and cool-downs; ``c<tenant>.<page>`` complaints, ``q...``
findings, ``v...`` versions of tenant inputs, applications and reviews, ``d...`` decisions, ``o...`` owners. A new
record rewrites one page (`monitor.core.tenants.record_pages`).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from monitor.core.codec import FORMAT, StateFormatError, Unpacker, packed
from monitor.core.record_places import UNKNOWN_PLACE
from monitor.core.tenants.complaints import ComplaintEntry
from monitor.core.tenants.seen_versions import VersionRun
from monitor.core.tenants.tenant_record import (
    CASES,
    COMPLAINTS,
    FINDINGS,
    OWNERS,
    VERSIONS,
    DecisionCase,
    FindingEntry,
    NamedOwner,
    TenantRecord,
)
from monitor.text.state_wording import state_text

_PAGE: Final = re.compile(r"([cdoqv])(\d+)\.(\d+)")


class _StoredTenant(Struct, array_like=True):
    format: int
    tenant_id: str
    tenant: int
    name: str | None
    name_ms: int
    cooldown_until_ms: dict[str, int]
    businesses: bytes = b""
    owner: str | None = None


class _StoredComplaint(Struct, array_like=True, gc=False):
    complaint_id: str
    first_ms: int
    last_ms: int
    written_ms: int
    complainant: str | None
    received_ms: int | None
    verified_ms: int | None
    dismissed_ms: int | None
    case: str | None
    place: int = UNKNOWN_PLACE


class _StoredFinding(Struct, array_like=True, gc=False):
    finding_id: str
    last_ms: int
    statuses: list[str]
    case: str | None


class _StoredRun(Struct, array_like=True, gc=False):
    key: str
    last_ms: int
    versions: list[int]


class _Complaints(Struct, array_like=True):
    format: int
    items: list[_StoredComplaint]


class _Findings(Struct, array_like=True):
    format: int
    items: list[_StoredFinding]


class _Versions(Struct, array_like=True):
    format: int
    items: list[_StoredRun]


class _Cases(Struct, array_like=True):
    format: int
    items: list[DecisionCase]


class _Owners(Struct, array_like=True):
    format: int
    items: list[str]


def page_of(key: str) -> tuple[str, int, int] | None:
    """The kind, tenant number and page number in the key of a page; None if it is not such a key."""
    match = _PAGE.fullmatch(key)
    return None if match is None else (match[1], int(match[2]), int(match[3]))


def encode_tenant_records(tenant_records: Iterable[TenantRecord]) -> dict[str, bytes | None]:
    """The entries that changed in these tenant records since they were last stored. None marks a deleted entry."""
    changes: dict[str, bytes | None] = {}
    for tenant_record in tenant_records:
        tenant = tenant_record.tenant
        changed, pages = tenant_record.changes()
        if changed:
            own = _StoredTenant(
                FORMAT,
                tenant_record.tenant_id,
                tenant,
                tenant_record.name,
                tenant_record.name_ms,
                tenant_record.cooldown_until_ms,
                tenant_record.businesses,
                tenant_record.owner,
            )
            changes[f"t{tenant}"] = packed(own)
        for kind, number, items in pages:
            changes[f"{kind}{tenant}.{number}"] = None if items is None else packed(_ENCODE[kind](items))
    return changes


def decode_tenant_records(entries: Mapping[str, bytes]) -> list[TenantRecord]:
    """Decode the stored tenant records, by tenant number.

    Raises StateFormatError if a format is unknown or a tenant's own entry is missing.
    """
    unpack = Unpacker(_StoredTenant, "a stored tenant record")
    tenant_records: dict[int, TenantRecord] = {}
    for key in entries:
        if key[:1] == "t" and key[1:].isdigit():
            own = unpack(entries[key])
            tenant_records[own.tenant] = TenantRecord(
                own.tenant_id, own.tenant, own.name, own.name_ms, own.cooldown_until_ms, own.businesses, own.owner
            )
    decode = _decoders()
    pages = sorted((place, key) for key in entries if (place := page_of(key)) is not None)
    for (kind, tenant, number), key in pages:
        tenant_record = tenant_records.get(tenant)
        if tenant_record is None:
            raise StateFormatError(state_text("no_tenant", tenant=tenant, page=key))
        tenant_record.load(kind, number, decode[kind](entries[key], tenant))
    for tenant_record in tenant_records.values():
        tenant_record.loaded()
    return [tenant_records[tenant] for tenant in sorted(tenant_records)]


def _complaint(one: ComplaintEntry) -> _StoredComplaint:
    times = one.received_ms, one.verified_ms, one.dismissed_ms
    return _StoredComplaint(
        one.complaint_id, one.first_ms, one.last_ms, one.written_ms, one.complainant, *times, one.case, one.record_place
    )


_ENCODE: Final[Mapping[str, Callable[[Any], Struct]]] = {
    COMPLAINTS: lambda items: _Complaints(FORMAT, list(map(_complaint, items))),
    FINDINGS: lambda items: _Findings(
        FORMAT, [_StoredFinding(one.finding_id, one.last_ms, one.statuses, one.case) for one in items]
    ),
    VERSIONS: lambda items: _Versions(FORMAT, [_StoredRun(run.key, run.last_ms, run.versions) for run in items]),
    CASES: lambda items: _Cases(FORMAT, items),
    OWNERS: lambda items: _Owners(FORMAT, [one.owner_id for one in items]),
}


def _decoders() -> dict[str, Callable[[bytes, int], Iterable[Any]]]:
    """The decoders of pages by kind. Each takes a page and the tenant number, and returns the items."""
    complaints, findings = Unpacker(_Complaints, "stored complaints"), Unpacker(_Findings, "stored findings")
    versions, cases = Unpacker(_Versions, "stored versions"), Unpacker(_Cases, "stored decisions")
    owners = Unpacker(_Owners, "stored owners")

    def entries(blob: bytes, tenant: int) -> Iterator[ComplaintEntry]:
        for one in complaints(blob).items:
            own = one.first_ms, one.last_ms, one.written_ms, one.complainant
            times = one.received_ms, one.verified_ms, one.dismissed_ms
            yield ComplaintEntry(one.complaint_id, tenant, *own, *times, one.case, one.place)

    return {
        COMPLAINTS: entries,
        FINDINGS: lambda blob, _: [
            FindingEntry(one.finding_id, one.last_ms, one.statuses, one.case) for one in findings(blob).items
        ],
        VERSIONS: lambda blob, _: [VersionRun(run.key, run.last_ms, run.versions) for run in versions(blob).items],
        CASES: lambda blob, _: cases(blob).items,
        OWNERS: lambda blob, _: [NamedOwner(owner_id) for owner_id in owners(blob).items],
    }
