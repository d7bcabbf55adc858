"""The outcome of a replay: decisions, alerts, windows and rejects, in the order of their files, and their counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.core.threshold_distance import ThresholdDistances
from monitor.decoding.merge import LateCall, RejectedRow
from schemas.outputs import Alert, Enforcement, JudgedWindow


@dataclass(slots=True)
class ReplaySummary:
    """The counts of a replay. ``read`` = ``accepted`` + ``rejected`` + ``duplicates`` + ``late``."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    late: int = 0
    enforcement: int = 0
    shadow: int = 0
    alerts: int = 0
    windows: int = 0
    tenants: int = 0
    last_event_ms: int | None = None
    not_after_ms: int | None = None


@dataclass(slots=True)
class Rejection:
    """A rejected row: its file and line, the reason, and its original bytes."""

    file: str
    line: int
    reason: str
    raw: bytes


@dataclass(slots=True)
class Outcome:
    """The complete output of a replay, each list in the order of its file (section 8 of the contract).

    ``seen``: the threshold distances at the end, if requested. ``places``, if requested: by id of a decision, where the
    records lie that it names (`monitor.core.record_places`); the number of a log is that of its file.
    """

    enforcement: list[Enforcement] = field(default_factory=list)
    shadow: list[Enforcement] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    windows: list[JudgedWindow] = field(default_factory=list)
    measures: list[bytes] = field(default_factory=list)
    late: list[bytes] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)
    summary: ReplaySummary = field(default_factory=ReplaySummary)
    seen: ThresholdDistances | None = None
    places: dict[str, tuple[int, ...]] = field(default_factory=dict)


def order_and_count(outcome: Outcome, late: list[LateCall], rejected: list[RejectedRow], names: Sequence[str]) -> None:
    """Sort everything except windows into the order of its file, and count it.

    The summary must already have ``read`` and ``duplicates``. ``names`` are the names of the sources, by number.
    """
    summary = outcome.summary
    outcome.enforcement.sort(key=lambda e: (e.data.decided_ms, e.subject, e.id))
    outcome.shadow.sort(key=lambda e: (e.data.decided_ms, e.subject, e.id))
    outcome.alerts.sort(key=lambda a: (a.updated_ms, a.tenant_id, a.rule_id))
    late.sort(key=lambda c: (c.end_ms, c.tenant_id, c.call_id, c.raw))
    outcome.late = [one.raw for one in late]
    rejected.sort(key=lambda r: r.ref)
    outcome.rejected = [Rejection(names[r.ref.source], r.ref.line, r.reason, r.raw or b"") for r in rejected]
    summary.rejected, summary.late = len(outcome.rejected), len(outcome.late)
    summary.accepted = summary.read - summary.rejected - summary.late - summary.duplicates
    summary.enforcement, summary.shadow = len(outcome.enforcement), len(outcome.shadow)
    summary.alerts = len(outcome.alerts)
