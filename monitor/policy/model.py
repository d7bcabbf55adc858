"""The resolved policy: frozen values, checked as a whole, ready for the shard. `monitor.policy.load` creates it."""

from dataclasses import dataclass, field
from typing import Literal

from schemas.outputs import Action

Mode = Literal["enforce", "review", "shadow"]
Direction = Literal["above", "below"]
TierId = Literal["minor", "major", "severe"]


# A call is packed into a 64-bit word. Every call uses 16 bits; the rest are for values of short_call_s and
# time zones. Evidence is kept for 64 kinds of calls: a metric's numerator or its complement.
MAX_VARIANTS = 48
MAX_EVIDENCE = 64


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of metrics: the short-call limit in ms, the callee limit, the IANA time zone."""

    short_call_ms: int
    callee_limit: int
    timezone: str


@dataclass(frozen=True, slots=True)
class Condition:
    """An ``also`` condition on another metric of the same window; a null value fails it."""

    metric: str
    op: Literal["above", "below", "at_least", "at_most"]
    value: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A measured rule. Times in ms; ``recover`` is the threshold unless given."""

    id: str
    behaviour: str
    metric: str
    direction: Direction
    threshold: float
    window_ms: int
    step_ms: int
    min_denominator: int
    confidence: float | None
    also: tuple[Condition, ...]
    cooldown_ms: int
    recover: float
    mode: Mode
    freeze: bool
    params: Params

    @property
    def metrics(self) -> list[str]:
        """The metrics that it uses: its own and those of its ``also`` conditions."""
        return [self.metric, *(condition.metric for condition in self.also)]


@dataclass(frozen=True, slots=True)
class Escalation:
    """Repeated violations: ``at_least`` unused ones in ``(t - window_ms, t]`` cause a decision in its tier."""

    id: str
    at_least: int
    window_ms: int
    tier: Literal["major", "severe"]
    mode: Literal["review", "enforce"]
    freeze: bool


@dataclass(frozen=True, slots=True)
class Override:
    """``rule`` is the rule that applies to ``tenant`` at window ends before ``expires_ms``."""

    tenant: str
    rule: Rule
    owner: str
    reason: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Exemption:
    """At window ends before ``expires_ms`` these rules neither decide nor alert for the tenant."""

    tenant: str
    rules: tuple[str, ...]
    owner: str
    reason: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Tier:
    """A violation tier of the access rules, with its consequences."""

    id: TierId
    zh: str
    en: str
    kind: Literal["warning", "termination", "ban"]
    actions: tuple[Action, ...]
    freezes: bool


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One of the seven behaviours. ``zh`` is the access rules' wording; ``freeze`` is for pending decisions."""

    id: str
    clause: int
    tier: TierId
    zh: str
    en: str
    freeze: bool


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """A prohibited business: ``terms`` match it; a word of ``unless`` in the text cancels a likely match."""

    key: str
    zh: str
    en: str
    terms: tuple[str, ...]
    unless: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything that affects decisions. ``sha256`` is the hash of the resolved policy's canonical JSON."""

    id: str
    version: str
    sha256: str
    lateness_ms: int
    review_within_ms: int
    retention_ms: int
    params: Params
    tiers: dict[str, Tier]
    behaviours: dict[str, Behaviour]
    rules: tuple[Rule, ...]
    escalations: tuple[Escalation, ...]
    overrides: tuple[Override, ...]
    exemptions: tuple[Exemption, ...]
    catalogue: tuple[CatalogueRow, ...]
    remarks: tuple[str, ...] = field(default=(), compare=False)
    """Remarks about unspecified settings that may be unintended; from the file only, without effect on decisions."""
