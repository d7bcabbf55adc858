"""The result of a preview as JSON and as CSV."""

import csv
import io
from collections.abc import Iterator
from typing import Final

import msgspec

from monitor.text.timestamps import rfc3339
from schemas.outputs import Reason
from streams.console.pages.formats import Formats
from streams.console.previews.result import ChangedTenant, PreviewResult
from streams.console.previews.store import Preview

_COLUMNS: Final = (
    *("tenant_id", "change", "final_before", "final_after", "pending_before", "pending_after", "shadow_before"),
    *("shadow_after", "rule_id", "channel", "rule", "tier", "decided", "reason"),
)
_CHANNELS: Final = ("final", "pending", "shadow")
_FULL_WIDTH: Final = ("\uff1d", "\uff0b", "\uff0d", "\uff20")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", *_FULL_WIDTH)


def as_json(one: Preview, result: PreviewResult) -> bytes:
    """The whole result with what was asked."""
    asked = {
        "preview": one.id,
        "title": one.title,
        "source": one.source,
        "days": one.days or None,
        "asked_ms": one.asked_ms,
        "asked_by": one.subject,
        "draft_id": one.draft_id,
    }
    return msgspec.json.format(msgspec.json.encode({**asked, "result": result})) + b"\n"


def as_csv(result: PreviewResult, formats: Formats) -> bytes:
    """A line for each tenant and rule that change, with the reason in the reader's language."""
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\r\n")
    lines.writerow(_COLUMNS)
    for tenant in result.changed:
        lines.writerows([_cell(value) for value in row] for row in _rows(tenant, formats))
    return out.getvalue().encode("utf-8-sig", "replace")


def _rows(tenant: ChangedTenant, formats: Formats) -> Iterator[list[str]]:
    tiers = [side[channel] or "" for channel in _CHANNELS for side in (tenant.before, tenant.after)]
    head = [tenant.tenant_id, tenant.change, *tiers]
    for step in tenant.rules:
        said = formats.reason(Reason(step.zh, step.en), (tenant.tenant_id, step.rule_id))
        kind = "appears" if step.appears else "vanishes"
        yield [*head, step.rule_id, step.channel, kind, step.tier, rfc3339(step.decided_ms), said]
    if not tenant.rules:
        yield [*head, "", "", "", "", "", ""]


def _cell(value: str) -> str:
    """A spreadsheet takes a text that begins with these for a formula."""
    return f"'{value}" if value.startswith(_FORMULA) else value
