"""What is told: one message, the same for every channel, which says it in its own form."""

from typing import Final, Literal

from msgspec import Struct

from schemas.outputs import Reason

Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
What = Literal[
    "alert", "warning", "termination", "ban", "admission_rejected", "pending", "reversal", "lapse", "lapse_soon",
    "escalation_hollow", "summary", "digest", "records_lost",
]  # fmt: skip


class MessageItem(Struct, frozen=True):
    """One of the things that a message about several names."""

    tenant_id: str
    behaviour: str
    severity: Severity
    text: Reason
    ref: str | None = None


class Message(Struct, frozen=True, kw_only=True):
    """One thing to be told. ``id`` never changes: whoever gets a message twice knows it by that.

    ``what`` it is about: of a decision its kind, or that it is pending. ``refs`` are ids of alerts and enforcement
    events. ``standing``: for Alertmanager, ``on`` what goes on until it is told ``off``, None what happens once.
    ``others``: False for what Alertmanager alone has to hear. ``items``: what a message about several is about; those
    of a digest are the worst.
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
    """How bad it is: a severity's place among them."""
    return SEVERITIES.index(severity)
