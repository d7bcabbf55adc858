"""Ids in a path, unchanged: a tenant's id is any text of 1 to 128 code points, slashes and dots included."""

import re
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.requests import Request

_MOST: Final = 128
_TORN: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def segments_after(request: Request, prefix: str) -> list[str]:
    """The segments of the path as it was asked for, after ``prefix``, each decoded. Raises HTTPException: 404.

    Not Starlette's decoding, which decodes before it splits, and replaces invalid UTF-8: both may give another id.
    """
    raw: bytes = request.scope.get("raw_path") or quote(request.url.path).encode()
    head = prefix.encode()
    if not raw.startswith(head):
        raise HTTPException(404)
    return [_decoded(part) for part in raw[len(head) :].split(b"/")]


def tenant_path(tenant_id: str, head: str = "/tenants/") -> str:
    """The address of a tenant's page. Browsers take a segment of dots for a folder, so such an id is in the query."""
    if tenant_id in (".", ".."):
        return f"{head}?id={quote(tenant_id)}"
    return head + quote(tenant_id, safe="")


def tenant_id_of(request: Request, segment: str) -> str:
    """The id in a segment, or that of the query if the segment is empty. Raises HTTPException: 404."""
    tenant_id = segment or request.query_params.get("id", "")
    if not 0 < len(tenant_id) <= _MOST:
        raise HTTPException(404)
    return tenant_id


def _decoded(raw: bytes) -> str:
    if _TORN.search(raw):
        raise HTTPException(404)
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise HTTPException(404) from None
