"""Where the shards of a replay must stop, so that a ban of an owner reaches all of them before it takes effect."""

from collections.abc import Iterable, Sequence
from typing import Final

from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.owners.ban_causes import may_ban, windows_may_ban
from monitor.core.owners.owner_effect import STEP_MS, first_effect
from monitor.policy.model import Policy
from schemas.inputs import Tenant

_NONE: Final = -1


class OwnerBarriers:
    """The instants at which bans of owners may take effect. At each, all shards stop and exchange their bans.

    There are none before a record has named an owner. Then there is one after each record that may ban a tenant or end
    a ban; under a policy whose measured rules may ban, one every five minutes of the time with records.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._windows_ban = any(map(windows_may_ban, policies))
        self._longest_ms = max((rule.window_ms for policy in policies for rule in policy.rules), default=0)
        self._named = False
        self._effects: set[int] = set()
        self._first_ms = self._newest_ms = _NONE

    def read(self, waiting: Iterable[PendingRecord], first_ms: int, newest_ms: int) -> None:
        """Note records to decide. ``first_ms`` and ``newest_ms`` are the least and the highest clock of those read."""
        self._first_ms = first_ms if self._first_ms == _NONE else min(self._first_ms, first_ms)
        self._newest_ms = max(self._newest_ms, newest_ms)
        for one in waiting:
            if isinstance(one.record, Tenant):
                self._named = self._named or bool(one.record.owner_id)
            elif may_ban(one.record):
                self._effects.add(first_effect(one.at_ms))

    def until(self, until_ms: int) -> list[int]:
        """The next instants, up to ``until_ms``, in ascending order."""
        due = {at_ms for at_ms in self._effects if at_ms <= until_ms}
        self._effects -= due
        if self._windows_ban and self._first_ms != _NONE:
            last_ms = min(until_ms, self._newest_ms + self._longest_ms + STEP_MS)
            due.update(range(first_effect(self._first_ms), last_ms + 1, STEP_MS))
            self._first_ms = max(self._first_ms, until_ms)
        return sorted(due) if self._named else []
