"""What follows from the kind of a decision: its actions, and the kind from which its id is derived."""

from collections.abc import Sequence
from typing import Final

from monitor.policy.model import Policy
from schemas.outputs import Action, Kind, TierName

OPEN_BEHAVIOURS: Final = frozenset(
    {"verified_fraud_complaint", "verified_harassment_complaint", "undeclared_prohibited_business", "in_call_abuse"}
)
"""The behaviours of clauses 1, 2, 3 and 5: the access rules leave termination or ban (终止或者封号) to the platform."""

STOPS: Final = frozenset({"termination", "ban"})
"""The kinds that stop a tenant's service."""

_STOPPING: Final[dict[str, Action]] = {"termination": "terminate_service", "ban": "ban_account"}
_ADMISSION: Final[dict[str, tuple[Action, ...]]] = {
    "admission_rejected": ("reject_numbers",),
    "admission_review": ("approve_numbers",),
    "admission_approved": ("approve_numbers",),
}


def actions_of(policy: Policy, kind: Kind, tier: TierName | None) -> tuple[Action, ...]:
    """The actions of a decision: those of its tier, one of them by the kind; of an admission those of its kind."""
    if tier is None:
        return _ADMISSION[kind]
    return with_kind(policy.tiers[tier].actions, kind)


def with_kind(actions: Sequence[Action], kind: str) -> tuple[Action, ...]:
    """The same actions, with the one that stops service as the kind says."""
    stopping = _STOPPING.get(kind)
    return tuple(stopping if stopping and action in _STOPPING.values() else action for action in actions)


def kind_in_id(policy: Policy, behaviour: str, kind: Kind) -> Kind:
    """The kind from which the id of a decision is derived. With a clause, this is the default kind of its tier.

    So the id is the same under a policy, or after a review, that chooses the other kind.
    """
    found = policy.behaviours.get(behaviour)
    return policy.tiers[found.tier].kind if found else kind
