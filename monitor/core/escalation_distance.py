"""Escalation distance: how many more violations each escalation takes, for the tenants nearest to it.

A violation counts towards an escalation if it is in the escalation's window, is not reversed, and was not used by that
escalation. An escalation is looked at only when a violation is recorded, so it is never less than one violation away,
even if more than ``at_least`` count, as after the reversal of a termination. Tenants with a final termination or ban
in force are not reported: escalations decide nothing for them. Tenants without a violation that counts are neither
reported nor looked at.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitor.core.shard import Shard
from schemas.outputs import Kind

FAR = 4
"""All tenants that lack at least this number of violations are counted together."""


@dataclass(frozen=True, slots=True)
class NearEscalation:
    """One tenant and escalation: the violations that count, those that are ``missing``, and all on record."""

    missing: int
    tenant_id: str
    escalation: str
    counted: int
    on_record: int


@dataclass(slots=True)
class ViolationsMissing:
    """One escalation: what it leads to, the violations it takes, and the tenants by how many they lack, up to `FAR`."""

    kind: Kind
    at_least: int
    tenants: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class EscalationDistances:
    """The distances measured in one or more shards. ``near`` is sorted, the nearest first."""

    near: list[NearEscalation] = field(default_factory=list)
    by_escalation: dict[str, ViolationsMissing] = field(default_factory=dict)


def measure_escalations(shard: Shard, most: int, now_ms: int) -> EscalationDistances:
    """The ``most`` nearest pairs of tenant and escalation at ``now_ms``, and the number of all.

    The shard must be idle and is not changed. The cost depends on the tenants with violations, not on all tenants.
    """
    policy = shard.policy
    seen = EscalationDistances()
    for escalation in policy.escalations:
        seen.by_escalation[escalation.id] = ViolationsMissing(policy.tiers[escalation.tier].kind, escalation.at_least)
    for tenant_record, escalation, counted in shard.decisions.escalation_counts(now_ms):
        missing = max(1, escalation.at_least - counted)
        seen.by_escalation[escalation.id].tenants[min(missing, FAR)] += 1
        on_record = len(tenant_record.violations)
        seen.near.append(NearEscalation(missing, tenant_record.tenant_id, escalation.id, counted, on_record))
    seen.near = _nearest(seen.near, most)
    return seen


def merge_escalations(parts: Sequence[EscalationDistances], most: int) -> EscalationDistances:
    """Merge the distances of shards with disjoint tenants, within the same limit."""
    whole = EscalationDistances()
    for one in parts:
        whole.near += one.near
        for escalation_id, missing_of in one.by_escalation.items():
            # While a new policy is introduced, shards may differ; the fewest violations are shown.
            into = whole.by_escalation.setdefault(
                escalation_id, ViolationsMissing(missing_of.kind, missing_of.at_least)
            )
            if missing_of.at_least < into.at_least:
                into.kind, into.at_least = missing_of.kind, missing_of.at_least
            into.tenants.update(missing_of.tenants)
    whole.near = _nearest(whole.near, most)
    return whole


def _nearest(near: list[NearEscalation], most: int) -> list[NearEscalation]:
    return heapq.nsmallest(most, near, key=lambda one: (one.missing, -one.counted, one.tenant_id, one.escalation))
