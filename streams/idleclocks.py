"""Idle clocks: looks at the ends of a worker's input logs, and moves the clocks of the sources that are silent."""

import asyncio
from collections.abc import Mapping, Set

from monitor.idle import Silence
from monitor.topics import INPUTS
from streams.callfeed import CallFeed
from streams.cluster import TP
from streams.owner import Owner
from streams.setup import Phase, Setup


class IdleClocks:
    """Of the ``owners`` of the partition numbers that are ``assigned``, as they are at each look.

    ``behind`` is how many records of each log were to be read at the last look, None before the first.
    """

    def __init__(self, setup: Setup, owners: Mapping[int, Owner], assigned: Set[int]) -> None:
        self._setup, self._owners, self._assigned = setup, owners, assigned
        self._silence: Silence[TP] = Silence(setup.live.idle_after_ms)
        self._feed = CallFeed(setup, self._silence)
        self.behind: dict[TP, int] | None = None

    def blind(self) -> None:
        """A look failed."""
        self._silence.blind()

    async def look(self) -> None:
        """Look at the ends of the logs, and move the clocks of those that were silent for long enough. Unavailable."""
        setup, names = self._setup, self._setup.names
        numbers = sorted(n for n in self._assigned if self._owners[n].phase is not Phase.UNFIT)
        inputs = [TP(topic, number) for topic in names.inputs for number in numbers]
        now_ms = setup.now_ms()  # before the look: what comes during it must not find the clock ahead of it
        ends = await setup.cluster.ends(sorted({*self._feed.tps, *inputs}))
        self._silence.look(round(asyncio.get_running_loop().time() * 1000), ends)
        current = await self._feed.is_current(self._mine(), ends, now_ms)
        for owner in self._mine().values():
            owner.idle(self._silence, ends, now_ms, current)
        owned = {tp: self._owners[tp.partition] for tp in inputs if tp.partition in self._assigned}
        self.behind = {tp: ends[tp] - owner.next_offset(tp) for tp, owner in owned.items() if owner.partition}
        self._feed.tell_of_outage(now_ms)
        for topic, name in zip(INPUTS, names.inputs, strict=True):
            quiet = [self._silence.quiet(tp, owner.reading(tp)) for tp, owner in owned.items() if tp.topic == name]
            setup.telemetry.silent(topic, min(one.for_ms for one in quiet) / 1000 if quiet else None)

    def _mine(self) -> dict[int, Owner]:
        return {number: self._owners[number] for number in sorted(self._assigned)}
