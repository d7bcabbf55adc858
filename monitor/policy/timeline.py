"""Policy versions: which policy decides at which event time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.policy.model import Policy

BOUNDARY_MS: Final = 300_000
"""Policies change only at multiples of this, where a pane ends, whatever the steps of their rules are."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """Windows that end at ``from_ms`` or later, and records from then on, are decided under ``policy``."""

    from_ms: int
    policy: Policy


def next_change_ms(at_ms: int) -> int:
    """The first time at or after ``at_ms`` at which a policy can change."""
    return -(-at_ms // BOUNDARY_MS) * BOUNDARY_MS


def version_at(versions: Sequence[PolicyVersion], at_ms: int) -> int:
    """The index of the policy version, in time order, that applies at ``at_ms``."""
    return max(sum(version.from_ms <= at_ms for version in versions) - 1, 0)
