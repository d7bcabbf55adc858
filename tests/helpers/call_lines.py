"""A call as a producer writes it, for tests that need one valid record."""

import json


def call_line(call_id: str, end_ms: int) -> bytes:
    """An unanswered outbound call of the tenant acme, of zero length."""
    record = {
        "type": "cdr",
        "call_id": call_id,
        "tenant_id": "acme",
        "direction": "outbound",
        "caller": "+8619000000001",
        "callee": "+8613800000001",
        "start_ms": end_ms,
        "end_ms": end_ms,
        "outcome": "no_answer",
    }
    return json.dumps(record).encode()
