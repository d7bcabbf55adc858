"""Turns to compute: one at a time, the loop between two threads, and no wait of it for a thread that takes long."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager

import pytest

from streams.runtime.compute_turns import ComputeTurns


async def test_the_loop_gets_its_turn_between_two_threads_and_nothing_overlaps() -> None:
    turns, order, inside = ComputeTurns(), [], 0

    async def compute(name: str, turn: AbstractAsyncContextManager[None]) -> None:
        nonlocal inside
        async with turn:
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            inside -= 1
            order.append(name)

    async def loop() -> None:
        for number in range(3):
            await compute(f"loop {number}", turns.of_loop())

    threads = [compute(f"thread {number}", turns.of_thread()) for number in range(4)]
    everything: list[Coroutine[None, None, None]] = [*threads, loop()]
    await asyncio.wait_for(asyncio.gather(*everything), 30)
    assert order == ["thread 0", "loop 0", "thread 1", "loop 1", "thread 2", "loop 2", "thread 3"]


async def test_the_loop_does_not_wait_for_a_thread_that_takes_long() -> None:
    turns = ComputeTurns()
    async with turns.of_thread():
        async with turns.of_loop():
            pass  # after its patience, while the thread still has the turn
        entered = asyncio.Event()

        async def next_thread() -> None:
            async with turns.of_thread():
                entered.set()

        following = asyncio.create_task(next_thread())
        async with turns.of_loop():
            assert not entered.is_set(), "the loop gave back a turn that it did not have"
    await asyncio.wait_for(following, 30)


@pytest.mark.parametrize("ends", ["error", "cancelled"])
async def test_a_thread_that_gives_up_waiting_takes_no_turn(ends: str) -> None:
    turns, calls = ComputeTurns(), 0

    async def meanwhile() -> None:
        nonlocal calls
        calls += 1
        if ends == "error" and calls == 3:
            raise LookupError

    async def wait() -> None:
        async with turns.of_thread_after(meanwhile, 0.001):
            raise AssertionError("it got a turn that another thread has")

    async with turns.of_thread():
        waiting = asyncio.create_task(wait())
        async with asyncio.timeout(30):
            while calls < 2:
                await asyncio.sleep(0)
        if ends == "cancelled":
            waiting.cancel()
        await asyncio.wait([waiting])
    assert waiting.cancelled() or isinstance(waiting.exception(), LookupError)
    async with asyncio.timeout(30), turns.of_thread():
        pass


async def test_nothing_is_called_meanwhile_if_the_turn_comes_at_once() -> None:
    turns = ComputeTurns()

    async def meanwhile() -> None:
        raise AssertionError("there was nothing to wait for")

    async with turns.of_thread_after(meanwhile, 0.001):
        pass
