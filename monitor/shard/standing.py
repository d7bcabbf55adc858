"""Standing: what is on a tenant's record, what is pending, and what stands against it. Plain data, one a tenant."""

from msgspec import Struct, field

from monitor.shard.complaints import ComplaintEntry
from monitor.shard.ids import Origin
from schemas.outputs import Evidence, Kind, Measure, Reason, TierName, Window


class Violation(Struct, gc=False):
    """One final decision with ``record_violation``. ``origin`` is its deciding record's type and id.

    ``counts`` is false for an escalation's own decisions, ``used_by`` are the escalations that have used it.
    """

    id: str
    decided_ms: int
    origin: Origin
    counts: bool
    used_by: list[str] = field(default_factory=list)


class Case(Struct):
    """A decision and what became of it: pending, final, or closed (reversed or lapsed).

    ``pending_id`` and ``final_id`` are its events' ids, both for an upheld one; ``closing_id`` that of the
    reversal or lapse. ``measured`` is true for a measured rule's decision, ``escalation`` the escalation whose
    it is, and ``used`` the violations that it has used. ``frozen``: whether the event in force froze refunds.
    """

    first_id: str
    status: str  # "pending", "final", "closed"
    kind: Kind
    behaviour: str
    clause: int | None
    tier: TierName | None
    rule_id: str
    decided_ms: int
    last_ms: int
    review_by_ms: int | None
    frozen: bool
    window: Window | None
    measure: Measure | None
    evidence: Evidence
    reason: Reason
    pending_id: str | None = None
    final_id: str | None = None
    closing_id: str | None = None
    measured: bool = False
    escalation: str | None = None
    used: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The id in force: of the final event, before it of the pending one."""
        in_force = self.final_id or self.pending_id
        assert in_force is not None
        return in_force


class FindingEntry(Struct, gc=False):
    """What is kept of one finding."""

    last_ms: int
    statuses: list[str]
    case: str | None = None

    @property
    def dismissed(self) -> bool:
        """Whether it was ever dismissed, which is for good."""
        return "dismissed" in self.statuses


class SeenRecord(Struct, gc=False):
    """What is kept of a tenant record, an application or a review: its versions, to know a duplicate."""

    last_ms: int
    versions: list[str]


class Standing(Struct):
    """One tenant. ``cases`` are by their first event's id, ``case_of`` finds them by any id that they have had.

    ``stops`` are the ids of the cases that are standing final terminations and bans, with their kind; ``quiet``
    has, for `monitor.shard.gates` keys, until when measured rules are quiet.
    """

    tenant_id: str
    tenant: int
    name: str | None = None
    name_ms: int = -1
    complaints: dict[str, ComplaintEntry] = field(default_factory=dict)
    findings: dict[str, FindingEntry] = field(default_factory=dict)
    seen: dict[str, SeenRecord] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    case_of: dict[str, str] = field(default_factory=dict)
    violations: dict[str, Violation] = field(default_factory=dict)
    stops: dict[str, str] = field(default_factory=dict)
    quiet: dict[str, int] = field(default_factory=dict)

    @property
    def banned(self) -> bool:
        """Whether a final ban stands."""
        return "ban" in self.stops.values()
