"""The audit finds no difference after any fault of the workers, running or stopped."""

import asyncio
from pathlib import Path

import pytest

from crash.audited import STATE, audited, count, findings, play, same
from crash.scenarios import DAY_S, day_of, operator_of
from crash.traffic import NAMES
from crash.world import World
from streams.savepoint.archive import ArchiveReader
from streams.savepoint.export import export


async def hurt(world: World) -> None:
    """Kill, stop or cut off a worker, and start others."""
    worker = world.rng.choice(world.running())
    what = world.rng.choice(("kill", "stop", "cut"))
    getattr(worker, what)()
    world.add_worker()
    await asyncio.sleep(world.rng.uniform(0.2, 0.8))
    if what != "kill":
        {"stop": worker.resume, "cut": worker.reconnect}[what]()


@pytest.mark.thorough
def test_nothing_is_found_while_workers_are_killed_and_at_work(tmp_path: Path) -> None:
    compared = checked_from = 0
    for seed in range(10):
        world, file = day_of(seed), tmp_path / f"{seed}.zst"

        async def go(world: World = world, file: Path = file) -> None:
            nonlocal compared, checked_from
            world.add_worker()
            for _ in range(4):
                await asyncio.sleep(world.rng.uniform(0.1, 0.4) * DAY_S)
                assert findings(await audited(world)) == []
                await hurt(world)
                if not file.exists() and any(count(world, STATE)):
                    await export(operator_of(world), NAMES, file, 0)
            await asyncio.sleep(3)
            for worker in world.running():
                worker.kill()
            whole = await audited(world)
            assert findings(whole) == []
            compared += same(whole)
            if file.exists():
                rest = await audited(world, ArchiveReader(file))
                assert findings(rest) == []
                checked_from += same(rest)

        play(world, go)
    assert compared > 50
    assert 20 < checked_from < compared
