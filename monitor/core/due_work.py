"""How much a shard has to do next: what is due at a watermark, and what an early evaluation would cover."""

from monitor.core.shard import Shard


def is_due(shard: Shard, watermark_ms: int) -> bool:
    """Whether `Shard.advance` would close or decide anything. Cheap enough to call in every loop."""
    if shard.pending_records.next_at((watermark_ms,)) is not None:
        return True
    other = shard.decisions.reviews.next_lapse(watermark_ms), shard.owner_bans.next_at(watermark_ms)
    return other != (None, None) or shard.next_window_end(watermark_ms) is not None


def due_calls(shard: Shard, watermark_ms: int) -> int:
    """The number of open calls that `Shard.advance` would close."""
    return shard.open_panes.due_calls(watermark_ms // shard.pane_ms * shard.pane_ms)


def due_records(shard: Shard, watermark_ms: int, most: int) -> int:
    """The records, lapses and tenants of banned owners that are due and the ids to forget before, at most ``most`` of
    each, plus the complaints to evaluate early first.
    """
    due = shard.pending_records.due((watermark_ms,), most) + shard.decisions.reviews.lapses_due(watermark_ms, most)
    due += shard.owner_bans.due(watermark_ms, most)
    if due:
        due += shard.record_handlers.retention.due(watermark_ms, most)
    return due + (0 if shard.early_alerts is None else shard.early_alerts.arrived)


def due_tenants(shard: Shard, watermark_ms: int) -> int:
    """The number of tenants that `Shard.advance` may decide or alert on at once: all of them if a window ends."""
    ends = due_calls(shard, watermark_ms) > 0 or shard.next_window_end(watermark_ms) is not None
    return shard.tenants if ends else 0


def due_window_ends(shard: Shard, watermark_ms: int) -> int:
    """The most window ends that `Shard.advance` would evaluate."""
    first_ms = shard.next_window_end(watermark_ms)
    return 0 if first_ms is None else (watermark_ms - first_ms) // shard.pane_ms + 1


def early_count(shard: Shard) -> int:
    """The number of complaints that `Shard.early` would count, plus the tenants that it would evaluate."""
    return len(shard.pending_records) + shard.tenants if shard.early_alerts is None else shard.early_alerts.work
