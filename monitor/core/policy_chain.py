"""A chain of in-memory shards, one per policy version: the shard in force takes input, and the next one follows it."""

from collections.abc import Mapping, Sequence

from monitor.core.calls.fields import FieldLayout
from monitor.core.due_work import is_due
from monitor.core.record_places import RecordLogs
from monitor.core.results import DECISIONS_ONLY, Output, WantedOutput
from monitor.core.shard import Shard
from monitor.core.shard_state import ShardState
from monitor.core.snapshot import ShardCheckpoint
from monitor.core.windows.aggregation_plan import AggregationPlan
from monitor.core.windows.policy_history import FieldAvailability
from monitor.core.windows.window import HOUR_MS
from monitor.policy.timeline import PolicyVersion


class PolicyChain:
    """Evaluates each event by the policy version in force at its event time. All ``versions`` are known in advance.

    ``shard`` is the shard of the policy in force: it takes the input and holds the output. ``state`` is its state.
    ``number`` is the index of the first policy version to use. Calls must be laid out for the policy of their event
    time (`field_layouts`). Until the last policy is in force, the entries that a shard would store are kept in memory,
    because the next shard starts from them. ``keep_state``: the state of the last one can be stored, too.
    ``logs``: the logs in which records lie, whose places are kept for the decisions that name them.
    """

    def __init__(
        self,
        versions: Sequence[PolicyVersion],
        wanted: WantedOutput = DECISIONS_ONLY,
        enforce_from_ms: int = 0,
        number: int = 0,
        keep_state: bool = False,
        logs: RecordLogs | None = None,
    ) -> None:
        self._versions = tuple(versions)
        self._enforce_from_ms = enforce_from_ms
        self._wanted = wanted
        self._keep_state = keep_state
        self._logs = logs
        self._number = number
        self._entries: dict[str, bytes] = {}
        self._kept_ms = 0
        self._start(Output())

    def _start(self, output: Output) -> None:
        history = FieldAvailability(self._versions[: self._number + 1])
        keep_state = self._keep_state or self._coming is not None
        self.shard = shard = Shard(history.policy, self._wanted, keep_state, history, output)
        shard.enforce_from(self._enforce_from_ms)
        shard.record_handlers.logs = self._logs
        if self._coming is not None:
            shard.keep_aside(self._coming.from_ms)
        self.state = ShardState(shard)

    @property
    def _coming(self) -> PolicyVersion | None:
        return self._versions[self._number + 1] if self._number + 1 < len(self._versions) else None

    def restore(self, head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Restore the state that a shard stored. See `ShardState.restore`."""
        self.state.restore(head, entries)
        if self._coming is not None:
            self._entries = dict(entries)

    def due(self, watermark_ms: int) -> bool:
        """Whether `advance` would decide anything."""
        coming = self._coming
        return is_due(self.shard, watermark_ms) or (coming is not None and coming.from_ms <= watermark_ms)

    def advance(self, watermark_ms: int, owners_until_ms: int | None = None) -> None:
        """Decide everything that the watermark allows, each event by the policy of its time. See `Shard.advance`."""
        while self._coming is not None and self._coming.from_ms <= watermark_ms:
            self._switch(self._coming)
        self.shard.advance(watermark_ms, owners_until_ms)
        if self._coming is not None and watermark_ms >= self._kept_ms + HOUR_MS:
            self._keep()  # this also deletes entries that no window needs
            self._kept_ms = watermark_ms

    def finish(self, last_ms: int, until_ms: int | None = None) -> None:
        """End the input. Switches to a later policy if it has a window end to evaluate."""
        while self._coming is not None and self._coming.from_ms <= self._last_end(self._coming, last_ms, until_ms):
            self._switch(self._coming, last_ms if until_ms is None else None)
        self.shard.finish(last_ms, until_ms)

    def _last_end(self, coming: PolicyVersion, last_ms: int, until_ms: int | None) -> int:
        if until_ms is not None:
            return until_ms
        steps = {rule.step_ms for policy in (self.shard.policy, coming.policy) for rule in policy.rules}
        return max([last_ms, *((last_ms // step_ms + 1) * step_ms for step_ms in steps)])

    def _switch(self, coming: PolicyVersion, last_ms: int | None = None) -> None:
        former, stored = self.shard, self.state
        former.close(coming.from_ms, coming.policy, last_ms)
        self._keep()
        self._number += 1
        self._start(former.output)
        self.state.succeed(former, stored.head(), self._entries)
        if self._coming is None:
            self._entries = {}

    def _keep(self) -> None:
        for key, blob in self.state.changes().items():
            self._entries.pop(key, None)
            if blob is not None:
                self._entries[key] = blob


def field_layouts(versions: Sequence[PolicyVersion]) -> tuple[FieldLayout, tuple[tuple[int, FieldLayout], ...]]:
    """The call layouts for a chain: the first layout, then each later one with the end time from which it applies."""
    first, *later = [AggregationPlan.of(version.policy).layout for version in versions]
    return first, tuple((version.from_ms, layout) for version, layout in zip(versions[1:], later, strict=True))
