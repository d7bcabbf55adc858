"""A consumer group's coordinator: members, generations, eager rebalances, session timeouts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.kafka.api import TP

if TYPE_CHECKING:
    from crash.broker import Broker


@dataclass(eq=False, slots=True)
class Member:
    """A member as the coordinator sees it.

    ``must_rejoin`` completes when the next heartbeat response asks the member to rejoin: the group rebalances, or the
    member was removed. ``joined`` is set while the member waits for the next generation.
    """

    id: str
    topics: Sequence[str]
    must_rejoin: asyncio.Future[None]
    joined: asyncio.Future[frozenset[TP]] | None = None
    silences: list[object] = field(default_factory=list)


class Group:
    """The one consumer group of a broker. ``offsets`` are the committed offsets, ``notes`` their metadata."""

    def __init__(self, broker: "Broker", session_timeout_s: float) -> None:
        self.generation = 0
        self.offsets: dict[TP, int] = {}
        self.notes: dict[TP, str] = {}
        self.expelled = 0
        self._broker = broker
        self._timeout_s = session_timeout_s
        self._members: dict[str, Member] = {}
        self._rebalancing = False

    def join(self, member: Member) -> asyncio.Future[frozenset[TP]]:
        """Request to join. It is answered when all members have joined or those that did not were removed."""
        self._members[member.id] = member
        joined = member.joined = self._broker.loop.create_future()
        member.must_rejoin = self._broker.loop.create_future()
        self.rebalance()
        self._complete_if_all_joined()
        return joined

    def knows(self, member: Member) -> bool:
        """Whether this is a member of the group."""
        return self._members.get(member.id) is member

    def leave(self, member: Member) -> None:
        """Remove a member, which leaves or is expelled; its partitions are assigned to the others."""
        if self.knows(member):
            del self._members[member.id]
            self._announce_rebalance(member)
            self.rebalance()
            self._complete_if_all_joined()

    def rebalance(self) -> None:
        """Start a rebalance: all members must rejoin."""
        if self._rebalancing:
            return
        self._rebalancing = True
        for member in self._members.values():
            if member.joined is None:
                self._announce_rebalance(member)
        generation = self.generation

        def too_long() -> None:
            if self._rebalancing and self.generation == generation:
                for member in [m for m in self._members.values() if m.joined is None]:
                    self._expel(member)
                self._complete_if_all_joined()

        self._broker.later(self._timeout_s, too_long)

    def silence(self, member: Member) -> object:
        """Stop the member's heartbeats. After the session timeout the member is expelled. Pass the
        result to `heard`.
        """
        silence = object()
        member.silences.append(silence)

        def too_long() -> None:
            if silence in member.silences and self.knows(member):
                self._expel(member)

        # The last heartbeat was sent some time ago.
        self._broker.later(self._timeout_s * self._broker.rng.uniform(0.7, 1.0), too_long)
        return silence

    def heard(self, member: Member, silence: object) -> None:
        """Resume the heartbeats."""
        member.silences.remove(silence)

    def _expel(self, member: Member) -> None:
        self.expelled += 1
        self.leave(member)

    def _announce_rebalance(self, member: Member) -> None:
        if not member.must_rejoin.done():
            member.must_rejoin.set_result(None)

    def _complete_if_all_joined(self) -> None:
        if not self._rebalancing or any(m.joined is None for m in self._members.values()):
            return
        self._rebalancing = False
        self.generation += 1
        shares = self._shares()
        for member in self._members.values():
            joined, member.joined = member.joined, None
            assert joined is not None
            if not joined.done():
                joined.set_result(shares[member.id])

    def _shares(self) -> dict[str, frozenset[TP]]:
        """Assign the partition numbers that all topics have: partition n of all topics to one member, in the order of
        ids.
        """
        ids = sorted(self._members)
        shares: dict[str, set[TP]] = {member_id: set() for member_id in ids}
        heard = {topic for member in self._members.values() for topic in member.topics}
        counts = [self._broker.topics[topic] for topic in heard if topic in self._broker.topics]
        for topic in sorted(heard.intersection(self._broker.topics)):
            count = min(counts)
            for rank, member_id in enumerate(ids):
                each, more = divmod(count, len(ids))
                first = rank * each + min(rank, more)
                shares[member_id] |= {TP(topic, n) for n in range(first, first + each + (rank < more))}
        return {member_id: frozenset(share) for member_id, share in shares.items()}
