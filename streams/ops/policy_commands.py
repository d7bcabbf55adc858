"""What a change of policy and its withdrawal mean for each partition, by what the partitions have recorded."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from monitor.partition.journal import PolicyChange
from monitor.policy.timeline import PolicyVersion
from streams.topics.policy_log import LoggedPolicies, earliest, in_the_way, newest

MARGIN_MS: Final = 60_000
"""For the owners to read the command in, before they read records of that time."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """To apply a policy: the partitions without it, and the event time from which they can apply it.

    ``last`` is the newest policy of these, which it replaces; None if they have recorded none. ``barred_by``: a change
    that is scheduled later, so that the policy cannot apply from that time.
    """

    numbers: list[int]
    from_ms: int
    last: PolicyVersion | None
    barred_by: PolicyChange | None


def plan_change(found: Mapping[int, LoggedPolicies], sha256: str, from_ms: int) -> PlannedChange:
    """Plan to apply the policy of this hash from ``from_ms``. Raises PermanentError if a policy cannot be read."""
    others = {number: one for number, one in found.items() if not one.changes or one.changes[-1].sha256 != sha256}
    last = newest(others)
    return PlannedChange(list(others), earliest(last, from_ms), last, in_the_way(others, from_ms))


def partitions_to_withdraw(found: Mapping[int, LoggedPolicies], sha256s: Collection[str]) -> list[int]:
    """The partitions in which one of these policies is scheduled and does not apply yet."""
    return [number for number, one in found.items() if any(change.sha256 in sha256s for change in one.coming)]
