"""The points at which a worker can be intercepted, and traps that fire when a worker passes one."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crash.virtual import Process, VirtualLoop
from crash.world import Worker

POINTS = (
    "commit.begin?",
    "commit.begin!",
    "commit.produce?",
    "commit.produce!",
    "commit.offsets?",
    "commit.offsets!",
    "commit.end?",
    "commit.end!",
    "writer.start?",
    "writer.start!",
    "writer.retry",
    "read?",
    "read!",
    "starts?",
    "starts!",
    "ends?",
    "ends!",
    "poll?",
    "poll!",
    "join?",
    "join!",
    "consumer.start",
)
COMMITTING = POINTS[:8]
KILLED_AT = (*POINTS, "join!", "writer.retry")  # these two are passed rarely
STARTING = ("consumer.start",)  # only a worker that starts passes these points


@dataclass
class Trap:
    """Fires at the ``left``th of the points that match."""

    matches: Callable[[Process, str], bool]
    left: int
    spring: Callable[[Process, str], None]


class Traps:
    """The traps of one schedule, for the workers that it watches."""

    def __init__(self, loop: VirtualLoop, rng: random.Random) -> None:
        self._loop, self._rng = loop, rng
        self._traps: list[Trap] = []
        self._by_process: dict[Process, Worker] = {}

    def watch(self, worker: Worker) -> None:
        """From now on traps fire for this worker, too."""
        self._by_process[worker.process] = worker

    def clear(self) -> None:
        """Remove all traps."""
        self._traps.clear()

    def passing(self, process: Process, point: str) -> None:
        """Called when a process passes a point: the first trap that matches may fire."""
        for trap in self._traps:
            if trap.matches(process, point):
                trap.left -= 1
                if trap.left <= 0:
                    self._traps.remove(trap)
                    trap.spring(process, point)
                return

    async def fires(
        self,
        points: Sequence[str],
        spring: Callable[[Worker, str], None],
        within_s: float = 6.0,
        most: int = 4,
        owner: bool = False,
    ) -> bool:
        """Call ``spring`` when a worker (with ``owner``, an owner) passes one of these points, or any; return whether
        it fired.
        """
        sprung: asyncio.Future[None] = self._loop.create_future()

        def matches(process: Process, point: str) -> bool:
            worker = self._by_process.get(process)
            return worker is not None and (not points or point in points) and (not owner or worker.belongs())

        def snap(process: Process, point: str) -> None:
            sprung.set_result(None)
            spring(self._by_process[process], point)

        trap = Trap(matches, self._rng.randint(1, most), snap)
        self._traps.append(trap)
        await asyncio.wait([sprung], timeout=within_s)
        if trap in self._traps:
            self._traps.remove(trap)
        return sprung.done()
