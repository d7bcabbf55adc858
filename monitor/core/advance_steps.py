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
    if _much_at_window_ends(shard, most, coming):
        reached_ms = _window_ends(shard, most, stop_ms if lapse_ms is None else lapse_ms - 1, coming)
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


def _much_at_window_ends(shard: Shard, most: int, coming: "ComingMembers") -> bool:
    """Whether the output of window ends may exceed ``most``, or the tenants to visit because of their bans may."""
    if shard.tenants * len(shard.policy.rules) > most or shard.partial or _many_measures(shard, most):
        return True
    return coming.largest_of(shard) > 1 and windows_may_ban(shard.policy)


def _window_ends(shard: Shard, most: int, until_ms: int, coming: "ComingMembers") -> int | None:
    """Decide window end by window end, until ``most`` decisions and alerts are made, and as many tenants of banned
    owners are visited. None if they are fewer.
    """
    room, visits = OutputRoom(most), most
    decided_ms: int | None = None  # the last window end that is decided
    shard.open_panes.sum_up_due(until_ms)
    while (end_ms := shard.next_window_end(until_ms)) is not None:
        if not shard.partial:
            if decided_ms is not None and shard.owner_bans.beyond(visits, end_ms - 1, coming.count) is not None:
                return decided_ms
            visits -= shard.owner_bans.due(end_ms - 1, most)
            shard.decide_before((end_ms,), end_ms - 1)
            shard.decisions.lapse(end_ms)
        shard.end_windows(end_ms, room=room)
        if shard.partial:
            return end_ms - 1  # not all windows that end there are evaluated yet
        if room.left <= 0:
            return end_ms
        decided_ms = end_ms
    # Without a window end, nothing was decided since the caller counted the tenants to visit.
    return None if shard.owner_bans.beyond(visits, until_ms, coming.count) is None else decided_ms


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

    def largest_of(self, shard: Shard) -> int:
        """The most tenants that an owner may have with them."""
        return shard.owner_bans.members.largest + max(self.count.values(), default=0)


def _next_ban(shard: Shard, most: int, until_ms: int, coming: ComingMembers) -> int | None:
    """The first instant, up to ``until_ms``, at which a ban by a record that is not decided yet may take effect, if
    more than ``most`` tenants of owners would be visited until then.
    """
    if coming.largest_of(shard) <= 1:
        return None
    tenants: dict[str, int] = {}  # the most that each of these tenants may have visited
    visits = 0
    for at_ms, tenant_id in shard.pending_records.ban_causes((until_ms,)):
        if tenant_id not in tenants:
            tenants[tenant_id] = _most_tenants(shard, tenant_id, coming)
        visits += tenants[tenant_id]
        if visits > most:
            effect_ms = first_effect(at_ms)
            return effect_ms if effect_ms <= until_ms else None
    return None


def _most_tenants(shard: Shard, tenant_id: str, coming: ComingMembers) -> int:
    """The most tenants that a ban of this tenant, or its end, may visit.

    A ban follows the owner that the newest record names by then, perhaps one that waits; its end follows the owner
    that was named when it began.
    """
    tenant_record = shard.tenant_records.known(shard.tenant_numbers.by_name[tenant_id])
    named: Iterable[str] = () if tenant_record is None else tenant_record.owners
    owners = *named, *coming.named.get(tenant_id, ())
    return max((shard.owner_bans.members.count(owner) + coming.count[owner] for owner in owners), default=0)
