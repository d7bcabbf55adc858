"""The state of a tenant, its decisions, and what a run has to say."""

from collections import defaultdict
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from oracle.measures import Call
from oracle.rulebook import Escalation

Key = tuple[Any, ...]
EVIDENCE = ("call_ids", "complaint_ids", "finding_ids", "application_ids", "review_ids", "enforcement_ids")


@dataclass
class Outcome:
    """The complete result of a run. An event's ``key`` stands for its id; ``reverses`` and ``supersedes`` are keys,
    too.
    """

    enforcement: list[dict[str, Any]] = field(default_factory=list)
    shadow: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    windows: list[dict[str, Any]] = field(default_factory=list)
    measures: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[tuple[int, int, str]] = field(default_factory=list)  # file, line, coarse reason
    summary: dict[str, int] = field(default_factory=dict)
    holds: dict[str, list[Key]] = field(default_factory=dict)


@dataclass
class Decision:
    """A decision and its state: ``pending``, ``final``, ``superseded``, ``reversed``, ``lapsed``."""

    event: dict[str, Any]
    state: str
    violation: bool = False
    escalation: Escalation | None = None
    used: list["Decision"] = field(default_factory=list)
    measured: str | None = None  # the mode of the measured rule
    upheld_as: "Decision | None" = None
    violation_at: int = 0
    reviews: list[tuple[int, str]] = field(default_factory=list)

    @property
    def newest(self) -> "Decision":
        """The decision as its last review left it."""
        return self if self.upheld_as is None else self.upheld_as.newest

    @property
    def named(self) -> bool:
        """Whether its id still names it: the first id does, and the 20 newest that reviews have superseded."""
        later, newest = 0, self
        while newest.upheld_as is not None:
            later, newest = later + 1, newest.upheld_as
        return later <= 20 or self.event["supersedes"] is None

    @property
    def waits(self) -> bool:
        """Whether it is an application that waits."""
        return self.state == "pending" and self.event["kind"] == "admission_review"

    @property
    def in_force(self) -> bool:
        return self.state in {"pending", "final"}


@dataclass
class Life:
    """The record of one id (other than a call's), until it is forgotten."""

    last: int
    seen: set[Any] = field(default_factory=set)
    records: list[dict[str, Any]] = field(default_factory=list)
    dismissed: bool = False
    decision: Decision | None = None


@dataclass
class Firing:
    """An active alert: its firing record, and the newest decision made while it is active."""

    record: dict[str, Any]
    named: Key | None = None


@dataclass
class Tenant:
    """One tenant's records and state."""

    id: str
    calls: list[Call] = field(default_factory=list)
    complaint_times: list[int] = field(default_factory=list)
    complaints: list[Life] = field(default_factory=list)
    lives: dict[tuple[str, str], Life] = field(default_factory=dict)
    decisions: dict[Key, Decision] = field(default_factory=dict)
    violations: list[Decision] = field(default_factory=list)
    used: dict[str, list[Decision]] = field(default_factory=lambda: defaultdict(list))
    quiet_enforce: dict[str, int] = field(default_factory=dict)
    quiet_review: dict[str, int] = field(default_factory=dict)
    quiet_shadow: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, Firing] = field(default_factory=dict)
    shadow_keys: set[Key] = field(default_factory=set)
    registered: dict[str, Any] | None = None  # the newest `tenant` record
    owners: set[str] = field(default_factory=set)  # all that a `tenant` record has named

    def terminated(self) -> bool:
        """Whether a final termination or ban is in force."""
        return any(d.state == "final" and d.event["kind"] in {"termination", "ban"} for d in self.decisions.values())

    def banned(self) -> bool:
        """Whether a final ban is in force."""
        return any(d.state == "final" and d.event["kind"] == "ban" for d in self.decisions.values())


def id_of(key: Key) -> str:
    """The oracle's own event id, by which reviews in its input name a decision."""
    return "oracle-" + sha256(repr(key).encode()).hexdigest()


def holds(events: list[dict[str, Any]]) -> dict[str, list[Key]]:
    """Billing's rule: the events that still freeze a tenant's refunds, in any order of the events."""
    gone = {e[f] for e in events for f in ("reverses", "supersedes") if e[f] is not None}
    left: dict[str, list[Key]] = {}
    for e in events:
        if e["refunds"] == "frozen" and e["key"] not in gone:
            left.setdefault(e["tenant_id"], []).append(e["key"])
    return left


def newest_of(found: list[tuple[int, str]]) -> list[str]:
    """The newest 20 by event time and id, without repeated ids, sorted."""
    newest: list[str] = []
    for _, name in sorted(found, reverse=True):
        if name not in newest:
            newest.append(name)
    return sorted(newest[:20])


def evidence_of(**lists: list[Any]) -> dict[str, list[Any]]:
    return {name: lists.get(name, []) for name in EVIDENCE}
