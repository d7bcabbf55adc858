"""Turns to compute: one at a time, the loop between two threads, and no wait of it for a thread that takes long."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager

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
