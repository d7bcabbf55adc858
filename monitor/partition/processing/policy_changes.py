"""Policy changes by an operator's command: which are still possible, and their entries for the clock log."""

from collections.abc import Collection
from typing import Any

from monitor.core.advance_steps import close_by
from monitor.core.shard import Shard
from monitor.partition.journal import PolicyWithdrawal
from monitor.partition.policy_versions import PolicyVersions
from monitor.partition.processing.task_journal import TaskJournal
from monitor.partition.processing.watermark import Watermark
from monitor.policy.timeline import PolicyVersion


class PolicyChanges:
    """Adds policies to the versions of a task and withdraws them, as far as nothing is decided under them.

    A task that is ``replaying`` changes policies by itself (`PolicyChain`): none is ever `reached`.
    """

    def __init__(
        self, policies: PolicyVersions, watermark: Watermark, journal: TaskJournal, replaying: bool = False
    ) -> None:
        self._replaying = replaying
        self._policies = policies
        self._watermark = watermark
        self._journal = journal

    def apply(self, plain: dict[str, Any], sha256: str, from_ms: int, reason: str, by: str, at_ms: int) -> str | None:
        """Apply another policy from ``from_ms``, or later if that was decided. Returns None, or an error message."""
        policies, watermark = self._policies, self._watermark
        version = policies.add(plain, sha256, from_ms, watermark.fixed_ms, watermark.late_ms)
        if isinstance(version, str):
            return version
        self._journal.add(policies.journal_entry(version, reason, by, at_ms))
        return None

    def withdraw(self, sha256s: Collection[str], reason: str, by: str, at_ms: int) -> str | None:
        """Withdraw the future versions among these policies. Returns None, or why none of them can be withdrawn."""
        gone = self._policies.withdraw(sha256s, self._watermark.fixed_ms, self._watermark.late_ms)
        if isinstance(gone, str):
            return gone
        for version in gone:
            self._journal.add(PolicyWithdrawal(version.from_ms, version.policy.sha256, reason, by, at_ms))
        return None

    @property
    def reached(self) -> PolicyVersion | None:
        """The next policy version, if the clocks have reached it and another task must continue."""
        coming = self._policies.coming
        return coming if coming and not self._replaying and coming.from_ms <= self._watermark.ms else None

    @property
    def ending(self) -> bool:
        """Whether the alerts that end with the policy are due to be resolved, or some of them were."""
        return self._watermark.closing_ms > 0 or self.reached is not None

    def close(self, shard: Shard, coming: PolicyVersion, most: int | None) -> bool:
        """Close the shard where the next policy takes over, with ``most`` in parts. Returns whether it is closed."""
        watermark = self._watermark
        if most is None:
            shard.close(coming.from_ms, coming.policy)
        elif not close_by(shard, most, coming.from_ms, coming.policy):
            watermark.decided_ms, watermark.closing_ms = coming.from_ms - 1, coming.from_ms
            return False
        watermark.decided_ms, watermark.closing_ms = coming.from_ms, 0
        return True
