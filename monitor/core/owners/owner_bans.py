"""The bans of owners that a shard holds: when each takes effect, and which owners are banned."""

import heapq
from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from monitor.core.owners.held_ban import (
    BANS_TOGETHER,
    ENDED,
    SCHEDULED,
    STANDING,
    HeldBan,
    decode_pages,
    encode_page,
)
from monitor.core.owners.owner_effect import first_effect
from monitor.core.owners.owner_members import OwnerMembers
from monitor.core.tenants.heaps import in_order
from monitor.core.tenants.record_pages import Pages
from monitor.core.tenants.tenant_record import TenantRecord
from schemas.owners import OwnerBan

_FEW: Final = 16
"""Up to this many owners are compared one by one; the result for more is cached until a ban begins or ends."""

_FORGOTTEN_BY_EFFECT: Final = 4
"""An effect forgets at most so many ended bans, more than it ends: no instant forgets all of a quiet time."""


class _Event(NamedTuple):
    """A ban or its lifting at its effect. Events compare in the order of one instant: by time, then by id."""

    at_ms: int
    time_ms: int
    enforcement_id: str
    lifting: bool


class OwnerStep(NamedTuple):
    """A part of an effect at ``at_ms``: the next ``tenants`` of the owner. ``last``: no tenant is left after it."""

    at_ms: int
    held: HeldBan
    lifting: bool
    tenants: Sequence[str]
    last: bool


class OwnerBans:
    """The bans of owners. ``members`` are the tenants of each owner.

    `take` is the only input, for bans by this shard and by others. `next_step` and `complete` apply the effects.
    Values from outside are compared by Python's seeded hash, or sorted.
    """

    def __init__(self, retention_ms: int) -> None:
        self.members = OwnerMembers()
        self._retention_ms = retention_ms
        self._held: dict[str, HeldBan] = {}  # by the id of the banning decision
        self._pages: Pages[HeldBan] = Pages(BANS_TOGETHER)
        self._events: list[_Event] = []  # a heap
        self._begun: _Event | None = None  # an effect that is applied in part
        self._ended: list[tuple[int, str]] = []  # a heap: when the lifting took effect, and the id
        self._standing: dict[str, list[tuple[int, str]]] = {}  # by owner, ascending
        self._version = 0  # of `_standing`
        self._earliest: dict[str, tuple[int, HeldBan | None]] = {}  # by tenant, with the version

    # Input ------------------------------------------------------------------------------------------------------

    def take(self, ban: OwnerBan, watermark_ms: int) -> int | None:
        """Take a ban, or a ban with its lifting. Returns when that takes effect; None if it changes nothing.

        ``watermark_ms`` is the watermark of the partition. A ban never takes effect if both its lifting and
        the taking of that come before its effect; the time of the lifting's effect is still returned.
        """
        held = self._held.get(ban.enforcement_id)
        if held is None:
            at_ms = max(first_effect(ban.decided_ms), watermark_ms)
            if ban.lifted_ms is not None and ban.lifted_ms < at_ms:
                return None
            held = self._held[ban.enforcement_id] = HeldBan(msgspec.structs.replace(ban, lifted_ms=None), at_ms)
            self._pages.add(held)
            self._schedule(held)
            if ban.lifted_ms is None:
                return at_ms
        if ban.lifted_ms is None or held.ban.lifted_ms is not None:
            return None
        return self._lift(held, ban.lifted_ms, watermark_ms)

    def _lift(self, held: HeldBan, lifted_ms: int, watermark_ms: int) -> int:
        at_ms = max(first_effect(lifted_ms), watermark_ms)
        self._pages.touch(held)
        held.ban = msgspec.structs.replace(held.ban, lifted_ms=lifted_ms)
        held.lift_effective_ms = at_ms
        if watermark_ms < held.effective_ms and lifted_ms < held.effective_ms:
            self._end(held)
        else:
            self._schedule_lifting(held)
        return at_ms

    def _schedule(self, held: HeldBan) -> None:
        event = _Event(held.effective_ms, held.ban.decided_ms, held.ban.enforcement_id, False)
        heapq.heappush(self._events, event)

    def _schedule_lifting(self, held: HeldBan) -> None:
        assert held.ban.lifted_ms is not None
        assert held.lift_effective_ms is not None
        event = _Event(held.lift_effective_ms, held.ban.lifted_ms, held.ban.enforcement_id, True)
        heapq.heappush(self._events, event)

    def _end(self, held: HeldBan) -> None:
        assert held.lift_effective_ms is not None
        held.state = ENDED
        heapq.heappush(self._ended, (held.lift_effective_ms, held.ban.enforcement_id))

    # Membership -------------------------------------------------------------------------------------------------

    def name(self, tenant_record: TenantRecord, owner_id: str) -> None:
        """A record of the tenant names this owner, to whom the tenant belongs from now on."""
        if not tenant_record.belong(owner_id):
            return
        self.members.add(owner_id, tenant_record.tenant_id)
        version, earliest = self._earliest.get(tenant_record.tenant_id, (-1, None))
        if version == self._version:
            found = self._first((owner_id,))
            if found is not None and (earliest is None or found.place < earliest.place):
                self._earliest[tenant_record.tenant_id] = version, found

    def banned(self, owner_id: str) -> OwnerBan | None:
        """The earliest standing ban of an owner; None if the owner is not banned."""
        held = self._first((owner_id,))
        return None if held is None else held.ban

    def earliest(self, tenant_record: TenantRecord) -> OwnerBan | None:
        """The earliest standing ban of all owners of a tenant; None if none of them is banned."""
        held = self._earliest_of(tenant_record)
        return None if held is None else held.ban

    def _earliest_of(self, tenant_record: TenantRecord) -> HeldBan | None:
        if len(tenant_record.owners) <= _FEW or len(self._standing) <= _FEW:
            return self._first(tenant_record.owners)
        version, found = self._earliest.get(tenant_record.tenant_id, (-1, None))
        if version != self._version:
            found = self._first(tenant_record.owners)
            self._earliest[tenant_record.tenant_id] = self._version, found
        return found

    def _first(self, owner_ids: Collection[str]) -> HeldBan | None:
        standing = self._standing
        if len(standing) < len(owner_ids):
            places = [bans[0] for owner_id, bans in standing.items() if owner_id in owner_ids]
        else:
            places = [standing[owner_id][0] for owner_id in owner_ids if owner_id in standing]
        return self._held[min(places)[1]] if places else None

    # Effects ----------------------------------------------------------------------------------------------------

    def next_at(self, until_ms: int) -> int | None:
        """The instant of the next effect; None if there is none up to ``until_ms``."""
        event = self._next()
        return event.at_ms if event is not None and event.at_ms <= until_ms else None

    def beyond(self, most: int, until_ms: int, coming: Mapping[str, int]) -> tuple[int, int] | None:
        """The instant, up to ``until_ms``, of the first effect with which more than ``most`` tenants are visited.

        ``coming`` is how many tenants each owner may have in addition by then. Returns the instant with the number of
        visits before it; None if there are no more.
        """
        visits, before, at_ms = 0, 0, -1
        for event in self._in_order():
            if event.at_ms > until_ms:
                return None
            if event.at_ms > at_ms:
                at_ms, before = event.at_ms, visits
            visits += self._visits(event) + coming.get(self._held[event.enforcement_id].ban.owner_id, 0)
            if visits > most:
                return at_ms, before
        return None

    def due(self, until_ms: int, most: int) -> int:
        """The number of tenants to visit that are due, counted up to ``most``."""
        visits = 0
        for event in self._in_order():
            if event.at_ms > until_ms or visits >= most:
                break
            visits += self._visits(event)
        return min(visits, most)

    def next_step(self, most: int | None = None) -> OwnerStep:
        """The next part of the next effect: at most ``most`` tenants of the owner."""
        event = self._next()
        assert event is not None
        held = self._held[event.enforcement_id]
        left = self.members.count_after(held.ban.owner_id, held.through)
        some = left if most is None else min(most, left)
        tenants = self.members.after(held.ban.owner_id, held.through, some)
        return OwnerStep(event.at_ms, held, event.lifting, tenants, some == left)

    def complete(self, step: OwnerStep) -> None:
        """The step was applied."""
        held, event = step.held, self._next()
        assert event is not None
        self._pages.touch(held)
        if self._begun is None:
            heapq.heappop(self._events)
        if not step.last:
            self._begun, held.through = event, step.tenants[-1]
            return
        self._begun, held.through = None, ""
        if step.lifting:
            self._remove_standing(held)
            self._end(held)
        else:
            held.state = STANDING
            self._add_standing(held)
        self._forget(step.at_ms)

    def _next(self) -> _Event | None:
        if self._begun is not None:
            return self._begun
        while self._events and self._void(self._events[0]):
            heapq.heappop(self._events)
        return self._events[0] if self._events else None

    def _in_order(self) -> Iterator[_Event]:
        if self._begun is not None:
            yield self._begun
        yield from (event for event in in_order(self._events) if not self._void(event))

    def _void(self, event: _Event) -> bool:
        held = self._held.get(event.enforcement_id)
        return held is None or held.state == ENDED

    def _visits(self, event: _Event) -> int:
        held = self._held[event.enforcement_id]
        return max(self.members.count_after(held.ban.owner_id, held.through), 1)

    def _add_standing(self, held: HeldBan) -> None:
        insort(self._standing.setdefault(held.ban.owner_id, []), held.place)
        self._version += 1

    def _remove_standing(self, held: HeldBan) -> None:
        bans = self._standing[held.ban.owner_id]
        del bans[bisect_left(bans, held.place)]
        if not bans:
            del self._standing[held.ban.owner_id]
        self._version += 1

    def _forget(self, now_ms: int) -> None:
        for _ in range(_FORGOTTEN_BY_EFFECT):
            if not self._ended or self._ended[0][0] + self._retention_ms >= now_ms:
                break
            self._pages.remove(self._held.pop(heapq.heappop(self._ended)[1]))

    # State ------------------------------------------------------------------------------------------------------

    @property
    def standing(self) -> int:
        """The number of bans in effect."""
        return sum(len(bans) for bans in self._standing.values())

    def held(self) -> Iterable[HeldBan]:
        """All bans that are held, also those that are scheduled or have ended. Do not change them."""
        return self._held.values()

    def changes(self) -> dict[str, bytes | None]:
        """The entries to store since the last call. None marks an entry to delete."""
        return {f"b{number}": None if items is None else encode_page(items) for number, items in self._pages.changed()}

    def restore(self, entries: Mapping[str, bytes], tenant_records: Iterable[TenantRecord]) -> None:
        """Restore the stored bans, and the tenants of each owner. The instance must be new."""
        self.members.restore(tenant_records)
        for number, items in decode_pages(entries).items():
            self._pages.load(number, items)
            for held in items:
                self._held[held.ban.enforcement_id] = held
        for held in self._held.values():
            if held.state == ENDED:
                self._end(held)
                continue
            if held.state == STANDING:
                self._add_standing(held)
            if held.state == SCHEDULED:
                self._schedule(held)
            if held.lift_effective_ms is not None:
                self._schedule_lifting(held)
        self._resume()

    def _resume(self) -> None:
        begun = [event for event in self._events if self._held[event.enforcement_id].through]
        if begun:
            self._begun = min(begun)  # the ban itself, if its lifting is scheduled, too
            self._events.remove(self._begun)
            heapq.heapify(self._events)
