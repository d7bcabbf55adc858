"""The tenant's id in a request, unchanged: any text of 1 to 128 code points, slashes and dots included."""

import re
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.requests import Request

from streams.consumers.billing.problems import ProblemError, no_tenant_id

_MOST: Final = 128
_TORN: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def in_path(request: Request) -> str:
    """The path after ``/v1/refunds/``. Raises ProblemError.

    Not Starlette's decoding: it replaces invalid UTF-8 with U+FFFD, which may be another tenant's id.
    """
    _, *parts = request.scope["raw_path"].split(b"/", 3)
    if parts[:2] != [b"v1", b"refunds"]:
        raise ProblemError(404, "Page not found", "没有这个页面")
    if request.scope["query_string"]:
        # Of an unescaped id `a?b` only `a` arrives here, which may be another tenant.
        raise no_tenant_id("a query follows it; percent-encode a ? that belongs to the id")
    return _decoded(parts[2])


def in_query(request: Request) -> str:
    """The single parameter ``tenant_id``; for ids such as ``..``, which clients and proxies remove from a path."""
    pairs = [pair.partition(b"=") for pair in request.scope["query_string"].split(b"&") if pair]
    if [name for name, _, _ in pairs] != [b"tenant_id"]:
        raise no_tenant_id("the query must contain it once and nothing else")
    return _decoded(pairs[0][2].replace(b"+", b" "))


def _decoded(raw: bytes) -> str:
    if _TORN.search(raw):
        raise no_tenant_id("a % is not followed by two hexadecimal digits")
    try:
        tenant_id = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise no_tenant_id("it is not UTF-8") from None
    if not 0 < len(tenant_id) <= _MOST:
        raise no_tenant_id(f"it has {len(tenant_id)} code points")
    return tenant_id
