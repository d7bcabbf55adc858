"""An asyncio event loop on virtual time, with processes that can be killed and stopped between any two steps.

Time stands still while anything can run, and then jumps to the next timer. No file, socket or thread is used, so the
same seed gives the same run. A step is one callback of the loop: the part of a task from one await to the next.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from contextvars import Context, ContextVar, copy_context
from types import ModuleType
from typing import Any

from mode import Service, supervisors


class Deadlock(Exception):
    """Nothing is ready, and no timer is set: the loop would never run again."""


class Livelock(Exception):
    """The run took more steps than any correct run."""


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose time jumps. ``most_steps`` ends a run that loops endlessly."""

    def __init__(self, most_steps: int = 5_000_000) -> None:
        super().__init__()
        self.steps = 0
        self._most_steps = most_steps
        self._now_s = 0.0
        self._at_step: list[tuple[int, int, Callable[[], None]]] = []
        self.processes: list[Process] = []
        self.complaints: list[dict[str, Any]] = []
        self.set_exception_handler(lambda _, context: self.complaints.append(context))

    def time(self) -> float:
        """Virtual seconds since the loop was created."""
        return self._now_s

    def at_step(self, steps_from_now: int, call: Callable[[], None]) -> None:
        """Call a function between two steps, at a given step number from now."""
        heapq.heappush(self._at_step, (self.steps + steps_from_now, len(self._at_step), call))

    def outside(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Schedule a call that belongs to no process, whichever process schedules it."""
        return self.call_later(delay_s, call, context=_OUTSIDE)

    def _run_once(self) -> None:
        ready: deque[asyncio.Handle] = self._ready  # type: ignore[attr-defined]
        timers: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not ready:
            while timers and timers[0].cancelled():
                heapq.heappop(timers)._scheduled = False  # type: ignore[attr-defined]
            if not timers:
                raise Deadlock(f"after {self._now_s:.3f} s nothing is left that could happen")
            self._now_s = max(self._now_s, timers[0].when())
        while timers and timers[0].when() <= self._now_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            process = handle._context.get(_PROCESS)  # type: ignore[attr-defined]
            if process is not None and not process.may_run(handle):
                continue
            self.steps += 1
            handle._run()
            while self._at_step and self._at_step[0][0] <= self.steps:
                heapq.heappop(self._at_step)[2]()
        if self.steps > self._most_steps:
            raise Livelock(f"{self.steps} steps, and at {self._now_s:.3f} s no end")

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        """Create a task as usual. It belongs to the process in whose context it is created, and is killed with it."""
        task = super().create_task(coro, **kwargs)
        process = (kwargs.get("context") or copy_context()).get(_PROCESS)
        if process is not None:
            process.tasks.append(task)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Run the function as a step of its own, without a thread."""
        future = self.create_future()

        def run() -> None:
            if not future.cancelled():
                try:
                    future.set_result(func(*args))
                except Exception as error:  # noqa: BLE001 - raised where the future is awaited
                    future.set_exception(error)

        self.call_soon(run)
        return future

    def _write_to_self(self) -> None:
        """No thread exists that would have to wake the loop."""

    def _asyncgen_finalizer_hook(self, agen: Any) -> None:
        if self.is_running():
            self._asyncgens.discard(agen)  # type: ignore[attr-defined]
            # `aclose` is called in the step, not here: a coroutine that the end of the loop forestalls would warn.
            self.call_soon(lambda: self.create_task(agen.aclose()))


class Process:
    """A worker's process: all tasks of its context, and everything that depends on whether it is running.

    A killed process never runs again, not even its ``finally`` blocks. A stopped process does not run until it is
    resumed; the callbacks that became ready meanwhile then run in the same order.
    """

    def __init__(self, loop: VirtualLoop, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.tasks: list[asyncio.Task[Any]] = []
        self._loop = loop
        self._held: list[asyncio.Handle] = []
        loop.processes.append(self)

    def run(self, main: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        """Start the main task."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        return self._loop.create_task(context.run(main), context=context)

    @property
    def runs(self) -> bool:
        """Whether it is neither killed nor stopped."""
        return self.alive and not self.stopped

    def kill(self) -> None:
        """SIGKILL."""
        self.alive = False
        self._held.clear()

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def resume(self) -> None:
        """SIGCONT."""
        self.stopped = False
        self._loop._ready.extend(self._held)  # type: ignore[attr-defined]
        self._held.clear()

    def may_run(self, handle: asyncio.Handle) -> bool:
        """Called by the loop before each step of this process."""
        if self.stopped and self.alive:
            self._held.append(handle)
        return self.runs

    async def pause_point(self) -> None:
        """Suspends a task that has just killed or stopped its own process."""
        while not self.alive:
            await self._loop.create_future()
        if self.stopped:
            await asyncio.sleep(0)

    def errors(self) -> list[BaseException]:
        """The exceptions of its tasks that nothing has retrieved."""
        return [
            error
            for task in self.tasks
            if task.done() and not task.cancelled() and task._log_traceback  # type: ignore[attr-defined]
            if (error := task.exception()) is not None
        ]

    def bury(self) -> None:
        """At the end of a run, discard the remaining tasks without a warning of asyncio or Python."""
        self.alive = False
        while self.tasks:
            task = self.tasks.pop()
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                with suppress(Exception):  # of a `finally` that runs after its world has ended
                    task.get_coro().close()  # type: ignore[union-attr]


_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
_OUTSIDE = Context()


class VirtualClock:
    """The time of day on a loop: ``speed`` ms of the day pass in a ms of loop time."""

    def __init__(self, loop: VirtualLoop, start_ms: int, speed: float = 1.0) -> None:
        self._loop, self._start_ms, self._speed = loop, start_ms, speed

    def now_ms(self) -> int:
        """Unix epoch milliseconds."""
        return self._start_ms + int(self._loop.time() * 1000 * self._speed)

    def loop_time(self, at_ms: int) -> float:
        """The loop time at which the clock shows ``at_ms``."""
        return (at_ms - self._start_ms) / 1000 / self._speed


def time_services_by_loop() -> None:
    """Have the timers of Faust's services go by the time of their loop.

    They correct the drift that they see on the host's clock: on a loaded machine, a seed gave another run.
    """
    defaults = Service.itertimer.__kwdefaults__
    assert defaults is not None
    defaults["clock"] = lambda: asyncio.get_running_loop().time()


class _WithoutLimit(ModuleType):
    """`asyncio`, but that waits have no limit."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def wait_for(self, what: Awaitable[Any], timeout: float | None) -> Any:
        return await what


def supervisors_wait_for_a_crash() -> None:
    """Have the supervisors of Faust's agents wait until an agent crashes, which wakes them.

    Each looks every five seconds as well, "just in case": half of the steps of an hour in which nothing happens.
    """
    supervisors.asyncio = _WithoutLimit("asyncio")  # type: ignore[attr-defined]


def run(loop: VirtualLoop, main: Coroutine[Any, Any, Any]) -> Any:
    """Run ``main`` to its end; then discard the remaining processes and close the loop."""
    time_services_by_loop()
    supervisors_wait_for_a_crash()
    outside = Process(loop, "outside")
    try:
        return loop.run_until_complete(outside.run(lambda: main))
    finally:
        for process in loop.processes:
            process.bury()
        loop.close()
