"""Preflight: whether the records carry the fields that a policy's rules need, and which tenants they would affect."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Final

from monitor.adapters.base import Adapter
from monitor.policy.model import Policy, Rule
from monitor.replay.outcome import Outcome
from monitor.replay.run import ReplayOptions, replay
from monitor.whatif.record_rows import inspected
from schemas.inputs import Cdr, Complaint

SCANTY: Final = 0.8
"""If a smaller share of tenants fills a field, an empty field says more about the platform than about a tenant."""

_ANSWERED: Final = "answered calls"
_CALLS: Final = "calls"
_COMPLAINTS: Final = "complaints"
_FIELDS: Final = {
    "consent_id": _ANSWERED,
    "hangup_by": _ANSWERED,
    "ring_ms": _ANSWERED,  # an attempt that never rang has none, an answered call must
    "answered_by": _ANSWERED,
    "recording_id": _ANSWERED,
    "agent_id": _CALLS,
    "campaign_id": _CALLS,
    "source": _CALLS,
    "complainant": _COMPLAINTS,
    "caller": _COMPLAINTS,
    "call_id": _COMPLAINTS,
    "occurred_ms": _COMPLAINTS,
    "channel": _COMPLAINTS,
}
_RESTS_ON: Final = {
    "consent_coverage": "consent_id",
    "consent_peak": "consent_id",
    "callee_hangup_ratio": "hangup_by",
    "out_of_hours_reject_ratio": "hangup_by",
    "pdd_s": "ring_ms",
    "short_cancel_ratio": "ring_ms",
    "complainants": "complainant",
}
# Without the field, these metrics say nothing about a tenant; the others also count calls that need no field.
_WHOLLY: Final = ("consent_coverage", "consent_peak", "callee_hangup_ratio")
_ON_ANSWERED: Final = tuple(name for name, of in _FIELDS.items() if of is _ANSWERED)
_ON_CALLS: Final = tuple(name for name, of in _FIELDS.items() if of is _CALLS)
_ON_COMPLAINTS: Final = tuple(name for name, of in _FIELDS.items() if of is _COMPLAINTS)


@dataclass(frozen=True, slots=True)
class Filling:
    """How often an optional field is filled: in ``filled`` of ``total`` records of the kind ``of``.

    Of the ``tenants`` with such records, ``filled_by`` fill it in at least half of them.
    """

    name: str
    of: str
    filled: int
    total: int
    filled_by: int
    tenants: int

    @property
    def share(self) -> float | None:
        """The share of records; None if no record could have the field."""
        return self.filled / self.total if self.total else None

    @property
    def tenant_share(self) -> float | None:
        """The share of tenants; None if none has such records."""
        return self.filled_by / self.tenants if self.tenants else None

    @property
    def scanty(self) -> bool:
        """Whether a rule on this field would measure the platform rather than the tenant."""
        return self.tenant_share is not None and self.tenant_share < SCANTY


@dataclass(frozen=True, slots=True)
class Breaches:
    """The tenants in breach of a rule at any evaluated window end, and the optional fields that the rule uses.

    ``scanty`` are those that too few tenants fill; ``filled`` those of the others without which it says nothing.
    """

    rule: Rule
    tenants: tuple[str, ...]
    scanty: tuple[str, ...]
    filled: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether it is in shadow for its optional fields alone, and the tenants fill them: it may go to review."""
        return self.rule.mode == "shadow" and bool(self.filled) and not self.scanty


@dataclass(frozen=True, slots=True)
class Preflight:
    """``tenants`` counts those with calls or complaints; shares of tenants in breach are relative to it."""

    records: int
    rejected: int
    tenants: int
    fields: tuple[Filling, ...]
    rules: tuple[Breaches, ...]


def preflight(
    paths: Sequence[str | PathLike[str]],
    policy: Policy,
    adapters: Sequence[Adapter | None] = (),
    not_after_ms: int | None = None,
) -> Preflight:
    """Evaluate the files like `replay`, without exemptions and regardless of modes and cool-downs.

    ``adapters``: one for each file, None for a file of records (default: all are). Later records than ``not_after_ms``
    are rejected. Raises what `replay` raises for files that cannot be read.
    """
    counting = FieldUseCounter()
    counted = inspected(adapters or [None] * len(paths), policy.lateness_ms, not_after_ms, counting.add)
    options = ReplayOptions(not_after_ms=not_after_ms)
    return preflight_of(replay(paths, without_exemptions(policy), options, adapter=counted), policy, counting)


def without_exemptions(policy: Policy) -> Policy:
    """The policy to replay with, without profiles either: `preflight_of` sees all tenants."""
    return replace(policy, exemptions=(), profiles=())


def preflight_of(outcome: Outcome, policy: Policy, counting: "FieldUseCounter") -> Preflight:
    """The result of a replay by the policy without exemptions, whose records ``counting`` has counted."""
    # An alert fires at the first end in breach, whatever cool-down, mode and decisions in force, unless it is exempt.
    breaches: dict[str, set[str]] = {rule.id: set() for rule in policy.rules}
    for alert in outcome.alerts:
        breaches[alert.rule_id].add(alert.tenant_id)
    fields = tuple(counting.filling())
    scanty = {field.name for field in fields if field.scanty}
    filled = {field.name for field in fields if field.tenant_share is not None} - scanty
    return Preflight(
        records=outcome.summary.read - outcome.summary.rejected,
        rejected=outcome.summary.rejected,
        tenants=len(counting.tenants),
        fields=fields,
        rules=tuple(
            Breaches(
                rule,
                tuple(sorted(breaches[rule.id])),
                tuple(name for name in _needs(rule) if name in scanty),
                tuple(name for name in _needs(rule, _WHOLLY) if name in filled),
            )
            for rule in policy.rules
        ),
    )


def _needs(rule: Rule, on: Collection[str] = _RESTS_ON) -> list[str]:
    return list(dict.fromkeys(_RESTS_ON[metric] for metric in rule.metrics if metric in _RESTS_ON and metric in on))


class FieldUseCounter:
    """Counts filled fields of records."""

    def __init__(self) -> None:
        # By (field or kind, tenant).
        self._filled: Counter[tuple[str, str]] = Counter()
        self._total: Counter[tuple[str, str]] = Counter()

    @property
    def tenants(self) -> set[str]:
        """The tenants with calls or complaints."""
        return {tenant for _, tenant in self._total}

    def add(self, record: object) -> None:
        """Count a record."""
        if isinstance(record, Cdr):
            self._count(record, _CALLS, _ON_CALLS)
            if record.outcome == "answered":
                self._count(record, _ANSWERED, _ON_ANSWERED)
        elif isinstance(record, Complaint):
            self._count(record, _COMPLAINTS, _ON_COMPLAINTS)

    def _count(self, record: Cdr | Complaint, kind: str, names: Sequence[str]) -> None:
        self._total[kind, record.tenant_id] += 1
        for name in names:
            if getattr(record, name):
                self._filled[name, record.tenant_id] += 1

    def filling(self) -> Iterator[Filling]:
        """The counts of every optional field."""
        for name, of in _FIELDS.items():
            totals = {tenant: count for (kind, tenant), count in self._total.items() if kind == of}
            filled = {tenant: self._filled[name, tenant] for tenant in totals}
            by = sum(2 * filled[tenant] >= total for tenant, total in totals.items())
            yield Filling(name, of, sum(filled.values()), sum(totals.values()), by, len(totals))
