"""Makes records safe to display: numbers masked, ids as the setting says, invisible characters escaped, length bounded.

A text that repeats an id of its record shows it: `monitor.text.record_ids` collects them.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from monitor.text.masking import MASK, MaskIds, mask_id, mask_number, mask_reason, mask_text, visible

__all__ = ["DEFAULT", "RECORDS", "Display", "ids_in", "party", "visible"]

_LONGEST_ID: Final = 128
_MOST_IDS: Final = 64  # of a raw line that are looked for in it

_ESCAPE = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_QUOTED = r""""(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
_PARTY = re.compile(
    rf"""((?:caller|callee)[a-z_]*["']?\s*[:=]\s*)({_QUOTED}|[^\s,;}}"']+)"""
    r"""|(numbers["']?\s*[:=]\s*\[)([^\]]*)""",
    re.IGNORECASE,
)
_IDS = re.compile(
    r"""\b(?:(?:tenant|owner|call|complaint|finding|application|review|enforcement|alert|agent|campaign|consent|recording"""
    r"""|rule)_id|complainant)["']?\s*[:=]\s*(?:"([^"\\]{1,128})"|'([^'\\]{1,128})'|([0-9A-Za-z._:@+-]{1,128}))"""
)


@dataclass(frozen=True, slots=True)
class Display:
    """How pages, notifications, logs, metrics and terminals show records. ``mask_ids``: which ids they mask."""

    mask_ids: MaskIds = "telephone_numbers"

    def id(self, identifier: str, limit: int = _LONGEST_ID) -> str:
        """An id, masked if ``mask_ids`` says so, with active characters escaped, cut to about ``limit`` characters."""
        return _cut(mask_id(identifier, self.mask_ids), limit, len(identifier))

    def tenant(self, tenant_id: str) -> str:
        """The id, or masked and cut with a few digits of its hash, so that no two tenants look the same."""
        text = self.id(tenant_id, _LONGEST_ID)
        if text == tenant_id:
            return text
        return f"{text[:_LONGEST_ID]}~{hashlib.sha256(tenant_id.encode()).hexdigest()[:8]}"

    def text(self, text: str, ids: Iterable[str] = (), limit: int = 600) -> str:
        """Free text with numbers masked and ``ids`` shown as by `id`, with active characters escaped, cut to about
        ``limit`` characters with the number of omitted ones.

        Masking comes first, so that neither a cut nor an escape can split a number before it is recognised.
        """
        return _cut(mask_text(text[: _looked_at(limit)], ids, self.mask_ids), limit, len(text))

    def reason(self, text: str, ids: Iterable[str] = (), limit: int = 600) -> str:
        """The reason of a decision or an alert, see `mask_reason`; else as `text`."""
        return _cut(mask_reason(text[: _looked_at(limit)], ids, self.mask_ids), limit, len(text))

    def field(self, value: Any, ids: Iterable[str] = (), limit: int = 600, *, of_reason: bool = False) -> str:
        """A field of an event as JSON, its texts shown as by `text`, or by `reason`. Its numbers are counts and times,
        which may have as many digits as a telephone number.
        """
        known, mask = tuple(ids), mask_reason if of_reason else mask_text
        shown = _with_texts(value, lambda text: mask(text[: _looked_at(limit)], known, self.mask_ids))
        return _cut(found := json.dumps(shown, ensure_ascii=False), limit, len(found))

    def raw(self, raw: str, limit: int = 400) -> str:
        """A record as it came: fields that hold numbers are hidden in any form, its ids shown as by `id`, other numbers
        masked. JSON escapes of plain characters are decoded first, because a number can hide in them."""
        head = raw[: _looked_at(limit)]
        plain = _ESCAPE.sub(_unescape, head)
        hidden = _PARTY.sub(_hide_party, plain)
        shown = self.text(hidden, ids_in(plain), limit)
        return shown if len(head) == len(raw) else f"{shown} … (+{len(raw) - len(head):,})"


DEFAULT: Final = Display()
"""What is shown unless a setting says otherwise: ids that are telephone numbers are masked."""
RECORDS: Final = Display("none")
"""How records show their ids: whole."""


def party(number: str) -> str:
    """A caller or callee in any form, masked, with active characters escaped."""
    return visible(mask_number(number))


def ids_in(raw: str) -> list[str]:
    """The ids that a record as it came seems to have, by the names of its fields; at most 64."""
    plain = _ESCAPE.sub(_unescape, raw)
    found: list[str] = []
    for match in _IDS.finditer(plain):
        found.append(next(filter(None, match.groups())))
        if len(found) == _MOST_IDS:
            break
    return found


def _hide_party(found: re.Match[str]) -> str:
    if found.group(3):
        return f"{found.group(3)}{MASK * 4}"
    value: str = found.group(2)
    quote = value[0] if value[0] in "\"'" else ""
    closing = quote if quote and len(value) > 1 and value.endswith(quote) else ""
    inner = value[len(quote) : len(value) - len(closing)]
    return f"{found.group(1)}{quote}{mask_number(inner)}{closing}"


def _with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with its texts changed, also those of keys."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _with_texts(part, change) for key, part in value.items()}
    return [_with_texts(part, change) for part in value] if isinstance(value, list) else value


def _looked_at(limit: int) -> int:
    """Far more than is shown, so that a text of megabytes costs no more than one of kilobytes."""
    return 4 * limit + 1024


def _cut(masked: str, limit: int, length: int) -> str:
    if length <= limit:
        return visible(masked)
    return f"{visible(masked[:limit])}… (+{length - limit:,})"


def _unescape(found: re.Match[str]) -> str:
    character = chr(int(found.group(1), 16))
    return found.group() if character in '"\\' else character
