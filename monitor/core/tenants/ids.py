"""Deterministic ids: the same facts give the same id on any machine, after any crash, with any policy file."""

import hashlib
from json.encoder import encode_basestring_ascii
from typing import NamedTuple


class Origin(NamedTuple):
    """The origin of a decision: a record's type and id, a reversed event, or nothing (a measured rule)."""

    type: str
    id: str


MEASURED = Origin("", "")


def enforcement_id(
    tenant_id: str,
    kind: str,
    status: str,
    rule_id: str,
    decided_ms: int,
    origin: Origin,
    further: tuple[int | str, ...] = (),
) -> str:
    """The id of an enforcement event (section 6 of the contract), 32 hexadecimal digits behind ``cwe-``.

    ``origin`` is the deciding record (for an escalation, that of the violation that triggers it), or
    ``("enforcement", id)`` for an event that reverses that id, or `MEASURED`. ``further`` distinguishes decisions of
    one instant: for a `tenant` or `application`, its ``updated_ms`` as written; for an escalation, the rule of that
    violation.
    """
    return "cwe-" + _digest(tenant_id, kind, status, rule_id, decided_ms, *origin, *further)


def alert_id(tenant_id: str, rule_id: str, since_ms: int) -> str:
    """The id of an alert, 32 hexadecimal digits behind ``cwa-``."""
    return "cwa-" + _digest(tenant_id, rule_id, since_ms)


def review_id(tenant_id: str, enforcement_id: str, verdict: str, kind: str | None = None) -> str:
    """The id of a review that `callwarden reviews` writes. Sending the same verdict again gives the same id."""
    return "cwr-" + _digest(tenant_id, enforcement_id, verdict, *([kind] if kind else []))


def _digest(*parts: str | int) -> str:
    # As JSON, escaped to ASCII: `json` makes an encoder for each list, which takes twice the time.
    listed = ",".join([encode_basestring_ascii(part) if isinstance(part, str) else str(part) for part in parts])
    return hashlib.sha256(f"[{listed}]".encode()).hexdigest()[:32]
