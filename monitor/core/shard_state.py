"""The state of a shard: what it stores, how it continues from that, and what it hands over.

Open calls and waiting records are not stored, except in a handover: they are the input since `ShardState.open_since`.
"""

from collections.abc import Mapping

from monitor.core.handover import MOST_CALLS, Handover
from monitor.core.shard import Shard
from monitor.core.snapshot import ShardCheckpoint, decode_names, encode_names
from monitor.core.tenants.first_calls import decode_first_calls
from monitor.core.tenants.tenant_store import decode_tenant_records, encode_tenant_records
from monitor.core.windows.window import HOUR_MS


class ShardState:
    """Stores and restores one shard, which was made with ``keep_state``."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    # Storing ----------------------------------------------------------------------------------------------------

    def open_since(self) -> dict[int, tuple[int, int]]:
        """For each source with open calls or waiting records: the offset of the first of them and the clock before it.

        Open calls and waiting records are not stored. After a restart the source must be read again from that offset,
        with that clock.
        """
        first = self._shard.pending_records.waiting_since()
        for source, place in self._shard.open_panes.since().items():
            first[source] = min(first.get(source, place), place)
        return first

    def head(self) -> ShardCheckpoint:
        """The head, which is stored every time. Encode it before the shard takes more input.

        Call this and `changes` only when everything that the watermark allows has been decided.
        """
        shard = self._shard
        return ShardCheckpoint(
            at_ms=shard.at_ms,
            closed_ms=shard.closed_ms,
            newest_ms=shard.open_panes.closed_newest_ms,
            tenants=shard.tenants,
            windows=shard.windows.heads(shard.at_ms),
            decided=shard.pending_records.decided or None,
            fields=shard.windows.counted_since,
            partial=shard.evaluator.partial,
            measured=shard.hourly.partial,
        )

    def changes(self) -> dict[str, bytes | None]:
        """The entries to store since the last call. None marks an entry to delete."""
        shard = self._shard
        changes = shard.windows.changes(shard.at_ms)
        changes |= encode_names(shard.tenant_numbers.names, shard.tenant_numbers.stored)
        shard.tenant_numbers.stored = shard.tenants
        changes |= encode_tenant_records(shard.tenant_records.changed())
        changes |= shard.tenant_records.first_calls.changes(shard.tenants)
        changes |= shard.evaluator.alert_states.changes()
        changes |= shard.owner_bans.changes()
        return changes

    # Restoring --------------------------------------------------------------------------------------------------

    def restore(self, head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Restore the state from `head` and all `changes` so far.

        The shard must be new. Its policy must be the same, or, if the earlier shard was closed, the next one.
        Raises StateFormatError if the format or a field is unknown, or part of the state is missing.
        """
        head.must_match()
        shard = self._shard
        for name in decode_names(entries, head.tenants):
            shard.tenant_numbers.of(name)
        shard.tenant_numbers.stored = shard.tenants
        shard.at_ms, shard.closed_ms = head.at_ms, head.closed_ms
        shard.open_panes.newest_ms = shard.open_panes.closed_newest_ms = head.newest_ms
        tenant_records = decode_tenant_records(entries)
        shard.tenant_records.restore(tenant_records)
        shard.tenant_records.first_calls.restore(decode_first_calls(entries, head.tenants))
        shard.decisions.restore(tenant_records, head.at_ms + 1)
        shard.owner_bans.restore(entries, tenant_records)
        known = shard.windows.known(head.windows, head.at_ms)
        shard.record_handlers.restore(tenant_records, [window.left_ms for window in known])
        shard.pending_records.decided = head.decided or ()
        shard.evaluator.alert_states.restore(entries)
        shard.evaluator.partial = head.partial
        shard.hourly.partial = head.measured if shard.windows.called is not None else None
        # Of an hour that ends at ``at_ms``, measures may be left to write.
        hour_ms = (head.at_ms - shard.partial) // HOUR_MS * HOUR_MS
        shard.windows.restore(known, entries, shard.at_ms, shard.tenants, hour_ms)

    def succeed(self, former: Shard, head: ShardCheckpoint, entries: Mapping[str, bytes]) -> None:
        """Resume from a closed shard in memory: from the state that it stored, and with the input that it read ahead.

        The calls that it kept aside must be laid out for this shard.
        """
        self.restore(head, entries)
        shard = self._shard
        shard.dedup = former.dedup
        shard.open_panes.newest_ms = shard.open_panes.closed_newest_ms
        for waiting in former.pending_records.by_offset():
            shard.wait(waiting)
        for calls in former.aside:
            shard.add(calls)

    # Handover ---------------------------------------------------------------------------------------------------

    def handover(self, watermark_ms: int) -> Handover | None:
        """What was read and is not in `changes`, for `take_over`. None if there are more than `MOST_CALLS` open calls.

        Ids of calls that ended before the watermark are left out.
        """
        shard, panes = self._shard, self._shard.open_panes
        if len(panes) > MOST_CALLS:
            return None
        seen = shard.dedup.remembered(watermark_ms)
        return Handover(panes.newest_ms, panes.panes(), seen, shard.pending_records.by_offset())

    def take_over(self, handover: Handover) -> None:
        """Resume from a handover, after `restore` of the state that was stored with it."""
        shard = self._shard
        shard.open_panes.restore(handover.panes, handover.newest_ms)
        shard.dedup.restore(*handover.seen)
        for waiting in handover.waiting:
            shard.wait(waiting)
