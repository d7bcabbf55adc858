"""The message: the same for every channel, which renders it in its own form."""

from typing import Final, Literal

from msgspec import Struct

from schemas.outputs import Reason

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
What = Literal[
    "alert", "warning", "termination", "ban", "admission_rejected", "admission_approved", "pending", "reversal",
    "lapse", "lapse_soon", "escalation_unsupported", "summary", "digest", "records_lost",
]  # fmt: skip


class MessageItem(Struct, frozen=True):
    """One entry of a message about several things."""

    tenant_id: str
    behaviour: str
    severity: Severity
    text: Reason
    ref: str | None = None


class Message(Struct, frozen=True, kw_only=True):
    """One notification. ``id`` never changes, so that a receiver recognises a duplicate.

    ``what``: its subject; for a decision its kind, or that it is pending. ``refs``: ids of alerts and enforcement
    events. ``standing``: for Alertmanager, ``on`` if it lasts until an ``off`` message, None for a single event.
    ``others``: False if only Alertmanager gets it. ``items``: the entries of a message about several things; those of a
    digest are the worst.
    """

    id: str
    what: What
    severity: Severity
    at_ms: int
    title: Reason
    lines: tuple[Reason, ...] = ()
    tenant_id: str = ""
    behaviour: str = ""
    tier: str = "none"
    refs: tuple[str, ...] = ()
    standing: Literal["on", "off"] | None = None
    others: bool = True
    items: tuple[MessageItem, ...] = ()


def rank(severity: str) -> int:
    """The position of a severity, lowest first."""
    return SEVERITIES.index(severity)
