"""Whatever is killed, stopped, cut off or lost, and when: the topics say what a replay of the same records says."""

import hashlib
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path

import pytest

from crash.runner import prepare
from crash.schedule import FAULTS, POINTS, Result, Schedule, play

SCHEDULES, CHUNK = 400, 50
SOAK, SOAK_CHUNK = 40_000, 1_000
PROCESSES = min(2, os.cpu_count() or 1)

Chunks = dict[int, Future[list[Result]]]


def played(seeds: Sequence[int]) -> list[Result]:
    return [play(seed) for seed in seeds]


@pytest.fixture(scope="session")
def pool() -> Iterator[ProcessPoolExecutor]:
    # Spawned, not forked: threads of other tests may hold locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, context, prepare) as pool:
        yield pool


@pytest.fixture(scope="session")
def chunks(pool: ProcessPoolExecutor) -> Chunks:
    """The results by the first seed of a chunk; all are under way from the first test on."""
    return {first: pool.submit(played, range(first, first + CHUNK)) for first in range(0, SCHEDULES, CHUNK)}


def told(results: Sequence[Result]) -> list[str]:
    return [f"seed {r.seed} ({r.flavour}; {dict(r.faults)}): {wrong}" for r in results for wrong in r.wrong[:3]]


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_every_schedule_ends_with_what_a_replay_says(chunks: Chunks, first: int) -> None:
    print(f"seeds {first} to {first + CHUNK - 1}: play(seed) of crash.schedule plays one alone")
    results = chunks[first].result()
    assert not told(results)
    assert sum(result.events for result in results) > CHUNK


def test_the_schedules_were_as_bad_as_they_should_be(chunks: Chunks) -> None:
    """Every fault took place often, in every schedule one at least, and workers died at most points of the seam."""
    results = [result for chunk in chunks.values() for result in chunk.result()]
    faults = sum((result.faults for result in results), Counter[str]())
    deaths = sum((result.points for result in results), Counter[str]())
    print(f"faults {faults}\ndeaths {deaths}")
    assert all(result.faults and not result.missed for result in results)
    assert {name for name in FAULTS if faults[name] >= SCHEDULES // 40} == set(FAULTS)
    # Kills at an await are drawn at random: so few schedules do not reach the rarest points of the seam.
    assert len({point for point in POINTS if deaths[point]}) * 4 >= len(POINTS) * 3
    assert sum(result.moves for result in results) > SCHEDULES // 10
    assert sum(result.dead_letters for result in results) > SCHEDULES // 10


def trace(seed: int) -> str:
    """All that passed between the workers and the broker in a schedule, as a digest."""
    schedule = Schedule(seed)
    digest = hashlib.sha256()
    passing = schedule.world.passing

    def noted(process, point):  # type: ignore[no-untyped-def]
        digest.update(f"{schedule.world.loop.time():.9f} {process.name} {point}\n".encode())
        passing(process, point)

    schedule.world.passing = noted  # type: ignore[method-assign]
    schedule.run()
    return digest.hexdigest()


def test_a_seed_gives_the_same_run_in_any_process() -> None:
    """Or a failure could not be looked at: not the order of sets, not the hash of strings, not what ran before."""
    code = "import test_schedules as t; t.prepare(); print(*map(t.trace, range(5)))"
    folders = [str(Path(__file__).parent), str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]
    traces = set()
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(folders)}
        command = [sys.executable, "-c", code]
        traces.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(traces) == 1
    assert len(set(traces.pop().split())) == 5


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SCHEDULES, SCHEDULES + SOAK, SOAK_CHUNK))
def test_many_more_schedules(pool: ProcessPoolExecutor, first: int) -> None:
    half = SOAK_CHUNK // 2
    print(f"seeds {first} to {first + SOAK_CHUNK - 1}")
    halves = [pool.submit(played, range(start, start + half)) for start in (first, first + half)]
    assert not told([result for future in halves for result in future.result()])
