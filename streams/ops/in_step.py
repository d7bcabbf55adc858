"""Partitions that are judged in step: a ban of an owner reaches all of them before it takes effect, as in files."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from monitor.core.owners.ban_causes import windows_may_ban
from monitor.core.owners.owner_effect import STEP_MS, first_effect
from monitor.core.shard import Shard
from monitor.partition.task import StreamTask
from schemas.owners import OwnerBan

Collect = Callable[[StreamTask], Iterable[OwnerBan]]
"""Takes the output of a task, and returns the bans of owners among it."""

WORTHWHILE_MS: Final = STEP_MS
"""No ban takes effect sooner after its decision, so smaller steps would only cost time."""


class PartitionsInStep:
    """Tasks of one policy. ``to_watermark``: decide no more than the clocks of a task allow, even if its logs ended."""

    def __init__(self, tasks: Sequence[StreamTask], collect: Collect, to_watermark: bool) -> None:
        self._tasks, self._collect, self._to_watermark = tasks, collect, to_watermark
        self.reached_ms = 0

    def advance(self, until_ms: int) -> None:
        """Decide everything before ``until_ms``. Nothing before it may be read any more, unless ``to_watermark``."""
        until_ms = max(until_ms, self.reached_ms)
        while (effect_ms := self._next_effect(until_ms)) is not None:
            self._decide(effect_ms, effect_ms - 1)
        self._decide(until_ms, until_ms)
        self.reached_ms = until_ms

    def _next_effect(self, until_ms: int) -> int | None:
        """The first instant, up to ``until_ms``, at which a ban that is not decided yet may take effect."""
        effects = [
            first_effect(at_ms)
            for task in self._tasks
            for at_ms in _may_ban(task.shard, self._bound(task, until_ms))
            if at_ms is not None
        ]
        return min((at_ms for at_ms in effects if at_ms <= until_ms), default=None)

    def _decide(self, at_ms: int, owners_until_ms: int) -> None:
        bans: list[tuple[StreamTask, OwnerBan]] = []
        for task in self._tasks:
            bound_ms = self._bound(task, at_ms)
            task.shard.advance(bound_ms, min(owners_until_ms, bound_ms))
            task.watermark.decided_ms = bound_ms
            bans += [(task, ban) for ban in self._collect(task)]
        for of, ban in bans:
            for task in self._tasks:
                if task is not of:
                    task.shard.owner_bans.take(ban, ban.decided_ms if ban.lifted_ms is None else ban.lifted_ms)

    def _bound(self, task: StreamTask, at_ms: int) -> int:
        return min(at_ms, task.watermark.ms) if self._to_watermark else at_ms


def _may_ban(shard: Shard, until_ms: int) -> tuple[int | None, int | None]:
    """The times of the first record and of the first window, up to ``until_ms``, that may ban a tenant or end a ban."""
    record_ms = shard.pending_records.first_ban_cause((until_ms,))
    return record_ms, shard.next_window_end(until_ms) if windows_may_ban(shard.policy) else None
