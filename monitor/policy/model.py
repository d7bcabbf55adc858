"""The resolved policy: frozen values, checked as a whole, ready for the shard. `monitor.policy.load` creates it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from monitor.text.bilingual import Bilingual
from schemas.outputs import Action

Mode = Literal["enforce", "review", "shadow"]
Direction = Literal["above", "below"]
TierId = Literal["minor", "major", "severe"]
DecisionKind = Literal["warning", "termination", "ban"]
OpenKind = Literal["termination", "ban"]
"""What the access rules leave open for clauses 1, 2, 3 and 5 (终止或者封号)."""
AdmissionMode = Literal["refuse_only", "review"]

SHORT_RING_MS = 3_000
"""The default of ``short_ring_s``, in ms."""


# A call is packed into a 64-bit word. Every call uses 16 bits; the rest are for `Variants`. Evidence is kept for 64
# kinds of calls: a metric's numerator or its complement.
MAX_VARIANTS = 48
MAX_EVIDENCE = 64


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of metrics: the limits of a short call and a short ring, the callee limit, the IANA time zone."""

    short_call_ms: int
    callee_limit: int
    timezone: str
    short_ring_ms: int = SHORT_RING_MS


@dataclass(frozen=True, slots=True)
class Condition:
    """An ``also`` condition on another metric of the same window; a null value fails it."""

    metric: str
    op: Literal["above", "below", "at_least", "at_most"]
    value: float


@dataclass(frozen=True, slots=True)
class Rule:
    """A measured rule. Times in ms; ``recover`` is the threshold unless given.

    With ``first_ms`` it is judged only at window ends in ``(f, f + first_ms]``, where ``f`` is the event time of the
    tenant's first call.
    """

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
    first_ms: int | None = None

    @property
    def metrics(self) -> list[str]:
        """The metrics that it uses: its own and those of its ``also`` conditions."""
        return [self.metric, *(condition.metric for condition in self.also)]

    @property
    def conditions(self) -> list[Condition]:
        """Its own condition and the ``also`` conditions: a breach meets all of them."""
        return [Condition(self.metric, self.direction, self.threshold), *self.also]


@dataclass(frozen=True, slots=True)
class Variants:
    """The values of parameters for which a call is counted, each ascending; a policy has at most `MAX_VARIANTS`.

    Short calls and hours are counted for all values that occur. ``short_ring_ms`` and ``refused_zones``, the time zones
    of `out_of_hours_reject_ratio`, are only those of rules that use these metrics.
    """

    short_call_ms: tuple[int, ...]
    timezones: tuple[str, ...]
    short_ring_ms: tuple[int, ...]
    refused_zones: tuple[str, ...]

    @classmethod
    def of(cls, params: Params, rules: Sequence[Rule]) -> "Variants":
        """The variants of the defaults and of all rules, including those of overrides."""
        every = [params, *(rule.params for rule in rules)]
        return cls(
            tuple(sorted({p.short_call_ms for p in every})),
            tuple(sorted({p.timezone for p in every})),
            tuple(sorted({rule.params.short_ring_ms for rule in rules if "short_cancel_ratio" in rule.metrics})),
            tuple(sorted({rule.params.timezone for rule in rules if "out_of_hours_reject_ratio" in rule.metrics})),
        )

    def __len__(self) -> int:
        return len(self.short_call_ms) + len(self.timezones) + len(self.short_ring_ms) + len(self.refused_zones)


@dataclass(frozen=True, slots=True)
class Escalation:
    """Repeated violations: ``at_least`` unused ones in ``(t - window_ms, t]`` cause a decision in its tier.

    With ``once_per_rule``, of the violations of one measured rule only the newest counts towards ``at_least``.
    """

    id: str
    at_least: int
    window_ms: int
    tier: Literal["major", "severe"]
    mode: Literal["review", "enforce"]
    freeze: bool
    once_per_rule: bool = False


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
class ExemptionProfile:
    """An exemption written once for tenants of one kind: the same as one exemption for each of them."""

    name: str
    exempt: tuple[str, ...]
    tenants: tuple[str, ...]
    owner: str
    reason: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Tier:
    """A violation tier of the access rules, with its consequences."""

    id: TierId
    zh: str
    en: str
    kind: DecisionKind
    actions: tuple[Action, ...]
    freezes: bool


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One of the seven behaviours. ``zh`` is the access rules' wording; ``freeze`` is for pending decisions.

    ``kind`` is the policy's choice between termination and ban where it differs from the tier's kind, else None.
    """

    id: str
    clause: int
    tier: TierId
    zh: str
    en: str
    freeze: bool
    kind: OpenKind | None = None


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
    profiles: tuple[ExemptionProfile, ...] = ()
    admissions: AdmissionMode = "refuse_only"
    remarks: tuple[Bilingual, ...] = field(default=(), compare=False)
    """Remarks about unspecified settings that may be unintended; from the file only, without effect on decisions."""

    def kind_of(self, behaviour: str) -> DecisionKind:
        """The kind of a decision about ``behaviour``: the policy's choice, else that of its tier."""
        found = self.behaviours[behaviour]
        return found.kind or self.tiers[found.tier].kind

    def every_exemption(self) -> tuple[Exemption, ...]:
        """The exemptions, with those that the profiles make; each of several for one tenant and rule applies."""
        of_profiles = [
            Exemption(tenant, profile.exempt, profile.owner, profile.reason, profile.expires_ms)
            for profile in self.profiles
            for tenant in profile.tenants
        ]
        return (*self.exemptions, *of_profiles)
