"""The bodies of errors over HTTP: problem details (RFC 9457), of the APIs and of the server itself."""

import json
from typing import Any, Final

PROBLEM_TYPE: Final = "application/problem+json"


def problem_details(name: str, status: int, title: str, detail: str, **more: Any) -> dict[str, Any]:
    """The problem of that name; ``more`` are extension members."""
    body = {"type": f"urn:callwarden:problem:{name}", "title": title, "status": status, "detail": detail}
    return body | more


def problem_body(status: int, title: str, detail: str) -> bytes:
    """A problem that means no more than its status. ``title``: the phrase of the status."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode() + b"\n"
