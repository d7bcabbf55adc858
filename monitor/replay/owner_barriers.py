"""Where the shards of a replay stop to exchange bans of owners, before these take effect."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monitor.core.decisions.pending_record import PendingRecord
from monitor.core.owners.ban_causes import may_ban, windows_may_ban
from monitor.core.owners.owner_effect import first_effect
from monitor.policy.model import Policy
from schemas.inputs import Complaint, Tenant


class OwnerBarriers:
    """The instants at which bans of owners may take effect. At each, all shards stop and exchange their bans.

    There are none before a record has named an owner. Then there is one after each record that may ban a tenant or end
    a ban; under a policy whose measured rules may ban, also one after each end of a window of theirs with a record.
    """

    def __init__(self, policies: Sequence[Policy]) -> None:
        rules = {rule for policy in policies if windows_may_ban(policy) for rule in _enforcing(policy)}
        self._windows = [_WindowEnds(window_ms, step_ms) for window_ms, step_ms in sorted(rules)]
        self._named = False
        self._effects: set[int] = set()

    def read(self, waiting: Iterable[PendingRecord], event_ms: Sequence[NDArray[np.int64]]) -> None:
        """Take what was read: the records to decide, and the event times of all rows."""
        complaints = []
        for one in waiting:
            if isinstance(one.record, Complaint):
                complaints.append(one.at_ms)  # windows count it at this time, which may be raised
            if isinstance(one.record, Tenant):
                self._named = self._named or bool(one.record.owner_id)
            elif may_ban(one.record):
                self._effects.add(first_effect(one.at_ms))
        for windows in self._windows:
            windows.read(np.concatenate([*event_ms, np.array(complaints, np.int64)]))

    def until(self, until_ms: int) -> list[int]:
        """The next instants, up to ``until_ms``, in ascending order."""
        for windows in self._windows:
            self._effects.update(map(first_effect, windows.until(until_ms)))
        due = sorted(at_ms for at_ms in self._effects if at_ms <= until_ms)
        self._effects.difference_update(due)
        return due if self._named else []


def _enforcing(policy: Policy) -> set[tuple[int, int]]:
    """The windows and steps of the rules that may decide without a review."""
    rules = [*policy.rules, *(override.rule for override in policy.overrides)]
    return {(rule.window_ms, rule.step_ms) for rule in rules if rule.mode == "enforce"}


class _WindowEnds:
    """The ends of windows with records, for one length and step."""

    def __init__(self, window_ms: int, step_ms: int) -> None:
        self._window_ms = window_ms
        self._step_ms = step_ms
        self._spans: list[tuple[int, int]] = []  # the first and the last end, ascending, apart from each other
        self._done_ms = 0

    def read(self, event_ms: NDArray[np.int64]) -> None:
        step_ms = self._step_ms
        firsts = (np.unique(event_ms[event_ms >= 0] // step_ms) + 1) * step_ms
        spans = sorted([*self._spans, *((first_ms, first_ms + self._window_ms) for first_ms in firsts.tolist())])
        self._spans = []
        for first_ms, last_ms in spans:
            if self._spans and first_ms <= self._spans[-1][1] + step_ms:
                first_ms, last_ms = self._spans[-1][0], max(last_ms, self._spans.pop()[1])
            self._spans.append((first_ms, last_ms))

    def until(self, until_ms: int) -> list[int]:
        """The next ends, up to ``until_ms``."""
        ends: list[int] = []
        left = []
        for first_ms, last_ms in self._spans:
            first_ms = max(first_ms, self._done_ms + self._step_ms)
            ends += range(first_ms, min(last_ms, until_ms) + 1, self._step_ms)
            if last_ms > until_ms:
                left.append((first_ms, last_ms))
        self._spans = left
        self._done_ms = max(self._done_ms, until_ms // self._step_ms * self._step_ms)
        return ends
