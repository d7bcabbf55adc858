"""Makes text from records safe to display: numbers masked, invisible characters escaped, length bounded."""

import hashlib
import re

from monitor.text.masking import MASK, mask_numbers, visible

__all__ = ["identifier", "party", "raw_line", "readable", "tenant_label", "visible"]

_LONGEST_LABEL = 64

# Identifiers that our own code generates (hashes, UUIDs) are not telephone numbers, whatever digits they contain.
_OPAQUE = re.compile(
    r"(?:cw[a-z]-)?(?=[0-9a-f-]*[a-f])(?:[0-9a-f]{24,64}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
)
_ESCAPE = re.compile(r"\\u00([2-7][0-9a-fA-F])")
_PARTY = re.compile(
    r"""((?:caller|callee)[a-z_]*["']?\s*[:=]\s*)("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s,;}"']+)""", re.IGNORECASE
)


def readable(text: str, limit: int = 600) -> str:
    """``text`` masked (`monitor.text.masking`), with active characters escaped, cut to about ``limit`` characters with
    the number of omitted ones.

    Masking comes first, so that neither a cut nor an escape can split a number before it is recognised.
    """
    masked = mask_numbers(text)
    if len(masked) <= limit:
        return visible(masked)
    return f"{visible(masked[:limit])}… (+{len(masked) - limit:,})"


def identifier(text: str, limit: int = 64) -> str:
    """An id for display: hashes and UUIDs unchanged, anything else like other text."""
    return text if _OPAQUE.fullmatch(text) else readable(text, limit)


def tenant_label(tenant_id: str) -> str:
    """The id unchanged, or masked and cut with a few digits of its hash, so that no two tenants look the same."""
    text = identifier(tenant_id, _LONGEST_LABEL)
    if text == tenant_id:
        return text
    return f"{text[:_LONGEST_LABEL]}~{hashlib.sha256(tenant_id.encode()).hexdigest()[:8]}"


def party(number: str) -> str:
    """A caller or callee in any form: all but the last two characters hidden, all of one with at most four."""
    shown = number[-2:] if len(number) > 4 else ""
    return visible(MASK * (len(number) - len(shown)) + shown)


def raw_line(raw: str, limit: int = 400) -> str:
    """A rejected line: caller and callee values hidden in any form, other numbers masked. JSON escapes of plain
    characters are decoded first, because a number can hide in them."""
    # Far more than is shown, so that a line of megabytes costs no more than one of kilobytes.
    head = raw[: 4 * limit + 1024]
    plain = _ESCAPE.sub(_unescape, head)
    shown = readable(_PARTY.sub(lambda m: f"{m.group(1)}{MASK * 4}", plain), limit)
    return shown if len(head) == len(raw) else f"{shown} … (+{len(raw) - len(head):,})"


def _unescape(found: re.Match[str]) -> str:
    character = chr(int(found.group(1), 16))
    return found.group() if character in '"\\' else character
