"""Case transitions: the effect of an enforcement event on its case, and the labels under which it is counted."""

from collections.abc import Iterator
from typing import Literal

from monitor.core.decisions.proposals import APPLICATION_REVIEW
from monitor.policy.file.resolve import RESERVED
from monitor.policy.model import Policy
from schemas.outputs import Enforcement

Transition = Literal["decided", "referred", "upheld", "overturned", "withdrawn", "lapsed"]
Labels = tuple[str, str, str, str, str, str]
"""Rule, tier, mode, kind, status, transition."""


def transition_of(event: Enforcement) -> Transition:
    """The effect of the event on its case.

    ``upheld``: by a review, which may also have changed the kind or decided an application. ``overturned``: by a
    review; ``withdrawn``: its complaint or finding, or those of its underlying violations, were dismissed, or its
    application came again.
    """
    data = event.data
    if data.kind == "lapse":
        return "lapsed"
    if data.kind == "reversal":
        return "overturned" if data.evidence.review_ids else "withdrawn"
    if data.supersedes is not None:
        return "upheld"
    return "decided" if data.status == "final" else "referred"


class CaseTransitions:
    """The labels of a policy's decisions."""

    def __init__(self, policy: Policy) -> None:
        self._modes: dict[str, str] = {}
        self.follow(policy)

    def follow(self, policy: Policy) -> None:
        """Add the labels of a new policy; decisions of the former ones may still change."""
        self._policy = policy
        self._modes |= {rule.id: rule.mode for rule in policy.rules}
        self._modes |= {escalation.id: escalation.mode for escalation in policy.escalations}

    def labels(self, event: Enforcement, shadow: bool = False) -> Labels:
        """The labels of an event, or of a shadow decision."""
        data = event.data
        mode = "shadow" if shadow else self._modes.get(data.rule_id, "record")
        return data.rule_id, data.tier or "none", mode, data.kind, data.status, transition_of(event)

    def expected(self) -> Iterator[Labels]:
        """The labels that are expected to occur."""
        policy = self._policy
        behaviours = policy.behaviours
        for rule in policy.rules:
            kind = policy.kind_of(rule.behaviour)
            yield from _transitions(rule.id, behaviours[rule.behaviour].tier, kind, rule.mode)
        for escalation in policy.escalations:
            kind = policy.tiers[escalation.tier].kind
            yield from _transitions(escalation.id, escalation.tier, kind, escalation.mode)
        for name, behaviour in behaviours.items():
            yield from _transitions(name, behaviour.tier, policy.kind_of(name), "record")
        for name in RESERVED[:2]:
            yield from _transitions(name, "none", "admission_rejected", "record")
        if policy.admissions == "review":
            mine = APPLICATION_REVIEW, "none", "record"
            yield *mine, "admission_review", "pending_review", "referred"
            yield *mine, "admission_approved", "final", "upheld"
            yield *mine, "admission_rejected", "final", "upheld"
            yield *mine, "reversal", "final", "overturned"
            yield *mine, "reversal", "final", "withdrawn"


def _transitions(rule_id: str, tier: str, kind: str, mode: str) -> Iterator[Labels]:
    if mode in ("enforce", "record", "shadow"):
        yield rule_id, tier, mode, kind, "final", "decided"
    if mode in ("review", "record"):
        yield rule_id, tier, mode, kind, "pending_review", "referred"
        yield rule_id, tier, mode, kind, "final", "upheld"
        yield rule_id, tier, mode, "lapse", "final", "lapsed"
    if mode != "shadow":
        yield rule_id, tier, mode, "reversal", "final", "overturned"
    if mode == "record":
        yield rule_id, tier, mode, "reversal", "final", "withdrawn"
