"""Eras: which policy decides what of event time, where it was changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from monitor.policy.model import Policy

BOUNDARY_MS: Final = 300_000
"""Policies change at multiples of this alone: where a pane ends, whatever the steps of their rules are."""


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """Windows that end at ``from_ms`` or later, and records of then or later, are decided under ``policy``."""

    from_ms: int
    policy: Policy


def next_change_ms(at_ms: int) -> int:
    """The first time from ``at_ms`` on at which a policy can change."""
    return -(-at_ms // BOUNDARY_MS) * BOUNDARY_MS


def version_at(versions: Sequence[PolicyVersion], at_ms: int) -> int:
    """Which of the policy versions, in order of time, that instant is of."""
    return max(sum(version.from_ms <= at_ms for version in versions) - 1, 0)
