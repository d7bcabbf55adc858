"""The body of what the HTTP server answers by itself: problem details (RFC 9457), as the APIs answer."""

import json
from typing import Final

PROBLEM_TYPE: Final = b"application/problem+json"


def problem_body(status: int, title: str, detail: str) -> bytes:
    """A problem that means no more than its status. ``title``: the phrase of the status."""
    return json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode() + b"\n"
