"""Policy changes by an operator's command: which are still possible, and their entries for the clock log."""

from collections.abc import Collection
from typing import Any

from monitor.partition.journal import PolicyWithdrawal
from monitor.partition.policy_versions import PolicyVersions
from monitor.partition.processing.task_journal import TaskJournal
from monitor.partition.processing.watermark import Watermark


class PolicyChanges:
    """Adds policies to the versions of a task and withdraws them, as far as nothing is decided under them."""

    def __init__(self, policies: PolicyVersions, watermark: Watermark, journal: TaskJournal) -> None:
        self._policies = policies
        self._watermark = watermark
        self._journal = journal

    def apply(self, plain: dict[str, Any], sha256: str, from_ms: int, reason: str, by: str, at_ms: int) -> str | None:
        """Apply another policy from ``from_ms``, or later if that was decided. Returns None, or an error message."""
        policies, watermark = self._policies, self._watermark
        version = policies.add(plain, sha256, from_ms, watermark.decided_ms, watermark.late_ms)
        if isinstance(version, str):
            return version
        self._journal.add(policies.journal_entry(version, reason, by, at_ms))
        return None

    def withdraw(self, sha256s: Collection[str], reason: str, by: str, at_ms: int) -> str | None:
        """Withdraw the future versions among these policies. Returns None, or why none of them can be withdrawn."""
        gone = self._policies.withdraw(sha256s, self._watermark.decided_ms, self._watermark.late_ms)
        if isinstance(gone, str):
            return gone
        for version in gone:
            self._journal.add(PolicyWithdrawal(version.from_ms, version.policy.sha256, reason, by, at_ms))
        return None
