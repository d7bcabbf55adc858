"""A record with its telephone numbers masked, as it is kept and shown (contract, section 9)."""

from typing import Any, Final

import msgspec

from monitor.text.masking import mask_number, mask_text
from monitor.text.record_ids import ID_FIELDS, ids_of
from schemas.inputs import Record

_NUMBERS: Final = ("caller", "callee")
_TEXTS: Final = frozenset(
    {
        "source",
        "channel",
        "inspector",
        "declared_business",
        "actual_business",
        "catalogue_row",
        "scenario",
        "name",
        "declared_businesses",
        "reviewer",
        "reason",
    }
)


def masked(record: Record) -> dict[str, Any]:
    """The fields of a record as JSON values: ids whole, numbers masked, and texts without numbers."""
    ids = ids_of(record)
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return {name: _masked(name, value, ids) for name, value in fields.items()}


def _masked(name: str, value: Any, ids: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        hide = mask_number if name == "numbers" else lambda text: mask_text(text, ids)
        return [hide(each) for each in value]
    if not isinstance(value, str) or name in ID_FIELDS:
        return value
    if name in _NUMBERS:
        return mask_number(value)
    return mask_text(value, ids) if name in _TEXTS else value
