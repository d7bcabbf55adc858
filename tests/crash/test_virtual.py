"""Virtual time and processes: no test waits, a killed process never runs again, a stopped one continues later."""

import asyncio
import time

import pytest
from mode import Service

from crash.virtual import Deadlock, Livelock, Process, VirtualClock, VirtualLoop, run


def test_a_year_passes_at_once_and_in_order() -> None:
    loop = VirtualLoop()
    clock = VirtualClock(loop, 1_000, speed=2.0)
    events: list[tuple[str, int]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        events.append((name, clock.now_ms()))

    async def main() -> None:
        async with asyncio.timeout(400 * 86_400):
            await asyncio.gather(sleeper("year", 365 * 86_400), sleeper("second", 1), sleeper("now", 0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(100), 5)

    run(loop, main())
    assert events == [("now", 1_000), ("second", 3_000), ("year", 1_000 + 2 * 365 * 86_400_000)]
    assert clock.loop_time(3_000) == 1.0


def test_a_deadlock_is_reported() -> None:
    async def waits() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(VirtualLoop(), waits())

    async def circles() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(Livelock):
        run(VirtualLoop(most_steps=1_000), circles())


def test_killed_processes_run_no_finally_and_stopped_ones_continue() -> None:
    loop = VirtualLoop()
    dead, stopped = Process(loop, "dead"), Process(loop, "stopped")
    events: list[str] = []

    async def work(name: str) -> None:
        async def child() -> None:
            for n in range(5):
                await asyncio.sleep(1)
                events.append(f"{name} {n}")

        try:
            await asyncio.create_task(child())
        finally:
            events.append(f"{name} ends")

    async def main() -> None:
        for process in (dead, stopped):
            process.run(lambda name=process.name: work(name))  # type: ignore[misc]
        await asyncio.sleep(2.5)
        dead.kill()
        stopped.stop()
        await asyncio.sleep(100)
        assert events == ["dead 0", "stopped 0", "dead 1", "stopped 1"]
        stopped.resume()
        await asyncio.sleep(0.5)
        assert events[4:] == ["stopped 2"]
        await asyncio.sleep(100)
        assert events[4:] == ["stopped 2", "stopped 3", "stopped 4", "stopped ends"]

    run(loop, main())
    assert not loop.complaints


@pytest.mark.parametrize("step", range(1, 12))
def test_a_kill_between_any_two_steps_ends_it_there(step: int) -> None:
    loop = VirtualLoop()
    process = Process(loop, "one")
    done: list[int] = []

    async def work() -> None:
        for n in range(100):
            done.append(n)
            await asyncio.sleep(0)

    async def main() -> None:
        process.run(work)
        loop.at_step(step, process.kill)
        await asyncio.sleep(1)

    run(loop, main())
    assert len(done) == step


def test_an_exception_that_nothing_retrieves_is_found() -> None:
    loop = VirtualLoop()
    process = Process(loop, "one")

    async def fails() -> None:
        raise ValueError("unseen")

    async def main() -> None:
        process.run(fails)
        await asyncio.sleep(1)
        assert [str(error) for error in process.errors()] == ["unseen"]

    run(loop, main())


def test_work_in_an_executor_is_a_step_and_no_thread() -> None:
    async def main() -> None:
        began = time.perf_counter()
        assert await asyncio.to_thread(lambda: 3) == 3
        with pytest.raises(ZeroDivisionError):
            await asyncio.get_running_loop().run_in_executor(None, lambda: 1 // 0)
        assert time.perf_counter() > began

    run(VirtualLoop(), main())


def test_timers_of_services_do_not_depend_on_how_fast_the_machine_is() -> None:
    """They corrected a drift by the host's clock, by up to a tenth of a second each time."""

    async def main() -> list[float]:
        loop, service, woken = asyncio.get_running_loop(), Service(), []
        async with service:
            async for _ in service.itertimer(1.0):
                time.sleep(0.05 * len(woken))  # as a slow machine does
                woken.append(loop.time())
                if len(woken) == 5:
                    return woken
        return woken

    woken = run(VirtualLoop(), main())
    assert woken == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0])
