"""The decisions and tenants for which the page has no room as rows: compressed, so that its search finds them."""

import base64
import zlib
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from monitor.report import labels
from monitor.report.standing import TenantStanding
from monitor.report.views import OUTCOMES, DecisionView, Viewer
from monitor.text.bilingual import Bilingual
from schemas.outputs import Enforcement

_CHUNK: Final = 64
"""Entries that are compressed together; they fit together or not at all."""

CODES: Final = {
    "tier": labels.TIERS,
    "kind": labels.KINDS,
    "status": labels.STATUSES,
    "refunds": labels.REFUNDS,
    "standing": labels.STANDINGS,
    "outcome": {code: wording or Bilingual("", "") for code, wording in OUTCOMES.items()},
}
"""The labels of the codes in an archive, which the browser needs."""


def archive(events: Sequence[Enforcement], tenants: Sequence[TenantStanding], viewer: Viewer, budget: int) -> "Archive":
    """The first of ``events`` and of ``tenants`` that fit ``budget`` bytes; events may take three quarters of them."""
    decisions, shown = _packed((_decision(viewer.decision(event)) for event in events), budget * 3 // 4)
    names, listed = _packed((_tenant(tenant, viewer) for tenant in tenants), budget - len(decisions))
    return Archive(decisions, shown, names, listed)


class Archive(msgspec.Struct, frozen=True):
    """Two lists of JSON arrays, each compressed with zlib in base64, and how many entries each has."""

    decisions: str
    decision_count: int
    tenants: str
    tenant_count: int


def labels_json() -> dict[str, Any]:
    """`CODES` for the page's script."""
    return {name: {code: [label.zh, label.en] for code, label in table.items()} for name, table in CODES.items()}


def _decision(view: DecisionView) -> list[Any]:
    return [
        view.at, view.at_utc, view.tenant, view.tier, view.kind, view.status, view.outcome, view.refunds, view.rule,
        view.event_id, view.reason.zh, view.reason.en,
    ]  # fmt: skip


def _tenant(tenant: TenantStanding, viewer: Viewer) -> list[Any]:
    return [
        viewer.names(tenant.tenant), tenant.standing, [[code, n] for code, n in tenant.tiers.items() if n],
        len(tenant.violations), int(bool(tenant.holds)), len(tenant.alerts), tenant.shadow, len(tenant.decisions),
    ]  # fmt: skip


def _packed(entries: Iterable[list[Any]], budget: int) -> tuple[str, int]:
    """As many entries, from the first, as fit ``budget`` bytes in base64."""
    packer, made, count = zlib.compressobj(9), bytearray(), 0
    most = budget * 3 // 4 - 64  # base64 has four characters for three bytes; the end of the stream needs some
    remaining = iter(entries)
    while chunk := list(islice(remaining, _CHUNK)):
        lines = b"".join((b",\n" if count + n else b"[") + msgspec.json.encode(one) for n, one in enumerate(chunk))
        # Tried on a copy: what is compressed cannot be taken back.
        tried = packer.copy()
        piece = tried.compress(lines) + tried.flush(zlib.Z_SYNC_FLUSH)
        if len(made) + len(piece) > most:
            break
        packer, count = tried, count + len(chunk)
        made += piece
    if not count:
        return "", 0
    made += packer.compress(b"]") + packer.flush()
    return base64.b64encode(bytes(made)).decode(), count
