"""Decides in parts, each with an output that fits in one transaction."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from monitor.core.decisions.pending_record import Place
from monitor.core.owners.ban_causes import windows_may_ban
from monitor.core.owners.owner_effect import first_effect
from monitor.core.rules.window_end import OutputRoom
from monitor.core.shard import Shard
from monitor.policy.model import Policy


def advance_by(shard: Shard, most: int, watermark_ms: int, before: Place | None = None) -> int | None:
    """Decide a part of what the watermark allows: records of about the weight ``most``, as many lapses, as many tenants
    of banned owners, and as many decisions and alerts at window ends. As many ids and as many cases are forgotten.

    Records before ``before`` are decided, which is the watermark unless given.
    Returns None if no more than that is left: call `Shard.advance`. Otherwise returns the event time up to which
    everything is decided; the next call decides what is due at that instant and after it.
    """
    before = (watermark_ms,) if before is None else before
    record_ms = _much_to_forget(shard, most, watermark_ms, before)
    if record_ms is None:
        return _decide_by(shard, most, watermark_ms, before)
    reached_ms = _decide_by(shard, most, record_ms, (record_ms,))
    if reached_ms is not None:
        return reached_ms
    shard.decide_before((record_ms,), record_ms)
    shard.record_handlers.retention.forget(record_ms, most)
    return record_ms


def close_by(shard: Shard, most: int, at_ms: int, successor: Policy) -> bool:
    """Close a shard (`Shard.close`) in parts, once `advance_by` has left no more than one transaction before ``at_ms``.

    Each part resolves up to ``most`` alerts, or forgets as many ids and cases. Returns whether it is closed; until
    then, everything before ``at_ms`` is decided.
    """
    shard.decide_before((at_ms,), at_ms - 1)
    if not shard.record_handlers.retention.forget(at_ms, most):
        return False
    if not shard.evaluator.dismiss(successor, at_ms, most):
        return False
    shard.close(at_ms, successor)
    return True


def _much_to_forget(shard: Shard, most: int, watermark_ms: int, before: Place) -> int | None:
    """The time of the first of the next ``most`` records before which more than ``most`` ids or cases are forgotten.

    None if there is none. Ids and cases are forgotten when a record is decided, because only that can tell.
    """
    kept_ms = shard.record_handlers.retention.kept_until(most, watermark_ms)
    return None if kept_ms is None else shard.pending_records.first_after(kept_ms, before, most + 1)


def _decide_by(shard: Shard, most: int, watermark_ms: int, before: Place) -> int | None:
    """As `advance_by`, without limiting what is forgotten."""
    place = shard.pending_records.beyond(most, before)
    stop_ms = watermark_ms if place is None else place[0]
    coming = ComingMembers(shard.pending_records.owners_named((stop_ms,)))
    coming_ms = _next_ban(shard, most, stop_ms, coming)
    if coming_ms is not None:
        stop_ms = coming_ms
    owners = shard.owner_bans.beyond(most, stop_ms, coming.count)
    if owners is not None:
        stop_ms = owners[0]
    lapse_ms = shard.decisions.reviews.lapses_beyond(most, stop_ms)
    if shard.tenants * len(shard.policy.rules) > most or _many_measures(shard, most) or shard.partial:
        reached_ms = _window_ends(shard, most, stop_ms if lapse_ms is None else lapse_ms - 1)
        if reached_ms is not None:
            return reached_ms
    if lapse_ms is not None:
        shard.decide_before((lapse_ms,), lapse_ms - 1)
        shard.decisions.lapse(lapse_ms, most)
        return lapse_ms - 1  # windows that end at the instant of these lapses are not evaluated yet
    if owners is not None or coming_ms is not None:
        shard.decide_before((stop_ms,), stop_ms, stop_ms - 1)
        if owners is not None:
            shard.owner_effects.apply_at(stop_ms, most - owners[1])
        return stop_ms
    if place is not None:
        shard.decide_before(place, stop_ms)
        return stop_ms
    return None


def _window_ends(shard: Shard, most: int, until_ms: int) -> int | None:
    """Decide window end by window end, until ``most`` decisions and alerts are made. None if they are fewer."""
    room = OutputRoom(most)
    shard.open_panes.sum_up_due(until_ms)
    while (end_ms := shard.next_window_end(until_ms)) is not None:
        if not shard.partial:
            shard.decide_before((end_ms,), end_ms - 1)
            shard.decisions.lapse(end_ms)
        shard.end_windows(end_ms, room=room)
        if shard.partial:
            return end_ms - 1  # not all windows that end there are evaluated yet
        if room.left <= 0:
            return end_ms
    return None


def _many_measures(shard: Shard, most: int) -> bool:
    """Whether more than ``most`` measures may be due: each needs an open call, or a tenant whose hour has begun."""
    return shard.windows.called is not None and shard.tenants + len(shard.open_panes) > most


class ComingMembers:
    """The tenants that waiting `tenant` records add to owners: they are members by the time of a ban's effect.

    ``named`` has the owners that these records name, by tenant.
    """

    def __init__(self, named: Mapping[str, Collection[str]]) -> None:
        self.named = named
        self.count = Counter(owner for owners in named.values() for owner in owners)

    @property
    def largest(self) -> int:
        """The most that they add to one owner."""
        return max(self.count.values(), default=0)


def _next_ban(shard: Shard, most: int, until_ms: int, coming: ComingMembers) -> int | None:
    """The first instant, up to ``until_ms``, at which a ban that is not decided yet may take effect, if more than
    ``most`` tenants of owners would be visited until then.
    """
    if shard.owner_bans.members.largest + coming.largest <= 1:
        return None
    end_ms = shard.next_window_end(until_ms) if windows_may_ban(shard.policy) else None
    tenants: dict[str, int] = {}  # the most that each of these tenants may have visited
    visits = 0
    for at_ms, tenant_id in shard.pending_records.ban_causes((until_ms,)):
        if end_ms is not None and end_ms <= at_ms:
            break
        if tenant_id not in tenants:
            tenants[tenant_id] = _most_tenants(shard, tenant_id, coming)
        visits += tenants[tenant_id]
        if visits > most:
            end_ms = at_ms
            break
    effect_ms = until_ms + 1 if end_ms is None else first_effect(end_ms)
    return effect_ms if effect_ms <= until_ms else None


def _most_tenants(shard: Shard, tenant_id: str, coming: ComingMembers) -> int:
    """The most tenants that a ban of this tenant, or its end, may visit.

    A ban follows the owner that the newest record names by then, perhaps one that waits; its end follows the owner
    that was named when it began.
    """
    tenant_record = shard.tenant_records.known(shard.tenant_numbers.by_name[tenant_id])
    named: Iterable[str] = () if tenant_record is None else tenant_record.owners
    owners = *named, *coming.named.get(tenant_id, ())
    return max((shard.owner_bans.members.count(owner) + coming.count[owner] for owner in owners), default=0)
