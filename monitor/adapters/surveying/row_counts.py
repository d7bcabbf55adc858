"""Counts what an adapter makes of the rows: records and their times, ids and fields, and reasons of rejections."""

import re
from collections import Counter
from functools import partial
from typing import Any, Final

import msgspec

from monitor.adapters.base import InputRow
from monitor.adapters.errors import RowErrorCode
from monitor.adapters.mapping.read import record_fields
from monitor.adapters.surveying.findings import ReasonCount, Survey
from monitor.text.display import Display
from monitor.text.masking import mask_id, mask_number, mask_text
from monitor.text.record_ids import ID_FIELDS, ids_of
from schemas.error_messages import NUMBER_FIELDS
from schemas.inputs import Cdr, Record, Tenant

MOST_KINDS: Final = 1_000
"""Counts by value are bounded: a file of another kind could have a new value in each row."""

OTHERS: Final = "(others)"

# So many ids are remembered, to find repeated ones: 100 MB.
_IDS: Final = 1_000_000
_EXAMPLES: Final = 3
_KEYS: Final = ("call_id", "complaint_id", "finding_id", "application_id", "review_id", "status", "verdict")
_NO_TENANT: Final = "missing_field: tenant_id: "
# Two reasons are of one kind if they differ only in quoted values and numbers.
_VALUE: Final = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[0-9]+""")


class RowCounts:
    """Counts the rows of a file into a survey."""

    def __init__(self, found: Survey, samples: int, record_type: type[Any], display: Display) -> None:
        self.found = found
        self._samples, self._display = samples, display
        self._reasons: dict[str, ReasonCount] = {}
        self._filled: Counter[str] = Counter()
        self._fields = tuple(record_fields(record_type))
        self._before_ms = 0
        self._ids: set[int] = set()
        self._tenants: set[str] = set()
        self._of_key = tuple(name for name in _KEYS if name in self._fields)

    def add(self, row: InputRow) -> None:
        """Count a row."""
        found = self.found
        found.rows += 1
        if row.record is None:
            self._reject(row.reason or "", row.line)
            return
        found.records += 1
        self._identify(row.record, row.line)
        for name, kept in found.kept_numbers.items():
            text = getattr(row.record, name)
            if text and not text.startswith("+"):
                kept.rows += 1
                shown = mask_text(text)  # a short code shows what the mapping leaves
                if len(kept.examples) < _EXAMPLES and shown not in kept.examples:
                    kept.examples.append(shown)
        self._filled.update(name for name in self._fields if getattr(row.record, name) not in (None, "", []))
        event_ms = row.record.end_ms if isinstance(row.record, Cdr) else row.record.updated_ms
        if found.last_ms is not None and event_ms < found.last_ms:
            found.steps_back += event_ms < self._before_ms
            found.behind += 1
            found.furthest_behind_ms = max(found.furthest_behind_ms, found.last_ms - event_ms)
        self._before_ms = event_ms
        found.first_ms = event_ms if found.first_ms is None else min(found.first_ms, event_ms)
        found.last_ms = event_ms if found.last_ms is None else max(found.last_ms, event_ms)
        if len(found.samples) < self._samples:
            found.samples.append(masked(row.record, self._display))

    def _identify(self, record: Record, line: int) -> None:
        found = self.found
        if len(self._tenants) < MOST_KINDS:
            self._tenants.add(record.tenant_id)
            found.tenants.count, found.tenants.example = len(self._tenants), record.tenant_id
        if isinstance(record, Tenant) or len(self._ids) >= _IDS:
            return
        key = hash((record.tenant_id, *(getattr(record, name) for name in self._of_key)))
        found.repeated.compared += 1
        if key in self._ids:
            found.repeated.rows += 1
            found.repeated.line = found.repeated.line or line
        self._ids.add(key)

    def _reject(self, reason: str, line: int) -> None:
        self.found.internal_legs += reason.startswith(RowErrorCode.INTERNAL_LEG)
        self.found.tenants.missing += reason.startswith(_NO_TENANT)
        self.found.superseded += reason.startswith(RowErrorCode.SUPERSEDED)  # also those that came late
        kind = _VALUE.sub("…", reason)
        if kind not in self._reasons and len(self._reasons) >= MOST_KINDS:
            kind = reason = OTHERS
        count = self._reasons.setdefault(kind, ReasonCount(mask_text(reason), 0, line))
        count.rows += 1

    def finish(self) -> Survey:
        """The survey, once all rows were added."""
        self.found.reasons = sorted(self._reasons.values(), key=lambda count: (-count.rows, count.line))
        self.found.filled = {name: self._filled[name] for name in self._fields}
        return self.found


def masked(record: Record, display: Display) -> dict[str, Any]:
    """A record as data for display: numbers masked, ids as the display says, empty fields omitted."""
    found: dict[str, Any] = {"type": record.__struct_config__.tag}
    ids = ids_of(record)
    for name, value in msgspec.structs.asdict(record).items():
        if isinstance(value, str) and value:
            if name in NUMBER_FIELDS:
                found[name] = mask_number(value)
            elif name in ID_FIELDS:
                found[name] = mask_id(value, display.mask_ids)
            else:
                found[name] = mask_text(value, ids, display.mask_ids)
        elif isinstance(value, list):
            mask = mask_number if name in NUMBER_FIELDS else partial(mask_text, ids=ids, mask_ids=display.mask_ids)
            found[name] = [mask(item) for item in value]
        elif value not in (None, ""):
            found[name] = value
    return found
