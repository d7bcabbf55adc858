"""The result of a preview, as it is stored, shown and exported."""

from msgspec import Struct, field

from monitor.text.bilingual import Bilingual

Tiers = dict[str, str | None]
"""The highest tier by channel: final, pending, shadow."""


class ComparedPolicy(Struct, frozen=True):
    """Which policy."""

    id: str
    version: str
    sha256: str


class TierCount(Struct, frozen=True):
    """How many tenants have this highest tier in this channel, and how many decisions are in it, by each policy."""

    channel: str
    tier: str
    tenants: tuple[int, int]
    decisions: tuple[int, int]


class RuleStep(Struct, frozen=True):
    """A rule that decides about a tenant by only one of the policies, with its first decision there."""

    rule_id: str
    channel: str
    appears: bool
    tier: str
    decided_ms: int
    zh: str
    en: str


class ChangedTenant(Struct, frozen=True):
    """A tenant whose highest tier changes, with the rules that cause it; ``more`` of them are left out."""

    tenant_id: str
    before: Tiers
    after: Tiers
    rules: list[RuleStep]
    more: int = 0

    @property
    def change(self) -> str:
        """``new``: decided about only by the new policy; ``gone``: only by the one in force; else ``other``."""
        if not any(self.before.values()):
            return "new"
        return "other" if any(self.after.values()) else "gone"


class RuleCount(Struct, frozen=True):
    """What a rule does by each policy: decisions, the tenants that they are about, and alerts."""

    rule_id: str
    decisions: tuple[int, int]
    tenants: tuple[int, int]
    alerts: tuple[int, int]


class SideScore(Struct, frozen=True):
    """See `monitor.whatif.backtest.Score`."""

    right: int
    wrong: int
    taken_back: int
    precision: float | None
    recall: float | None


class ScoreRow(Struct, frozen=True):
    """How right the decisions of a selection, or of one rule in it, are by each policy; ``rule_id`` "": all rules."""

    selection: str
    rule_id: str
    bad: int
    before: SideScore | None
    after: SideScore | None


class RejectedLine(Struct, frozen=True):
    """A line of a file that was rejected, and why; telephone numbers are masked."""

    line: int
    reason: str


class RecordCounts(Struct, frozen=True):
    """What was read. ``rejected_by``: the most frequent reasons with their counts. ``first_rejected``: of a file."""

    read: int
    accepted: int
    rejected: int
    duplicates: int
    late: int
    tenants: int
    last_ms: int | None
    rejected_by: list[tuple[str, int]] = field(default_factory=list)
    first_rejected: list[RejectedLine] = field(default_factory=list)


class PreviewResult(Struct, frozen=True):
    """What would be different. Pairs are (by the policy in force, by the previewed one).

    ``changed`` has as many of the ``changed_total`` tenants as fit, the most severe first. ``truth``: the source of the
    reviews for the scores, ``file`` or ``console``; None: no reviews, no scores. ``since_ms``: no decisions before it.
    ``rule_names``: those of the rules of both policies, by id; of a rule that differs, the name by the previewed one.
    """

    before: ComparedPolicy
    after: ComparedPolicy
    records: RecordCounts
    tiers: list[TierCount]
    changed: list[ChangedTenant]
    changed_total: int
    new_total: int
    gone_total: int
    rules: list[RuleCount]
    scores: list[ScoreRow]
    truth: str | None = None
    truth_tenants: int = 0
    since_ms: int | None = None
    rule_names: dict[str, Bilingual] = field(default_factory=dict)
