"""After any kill, stop, network partition or loss at any time, the topics equal a replay of the same records."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from crash.runner import ask, results
from crash.schedule import FAULTS, POINTS, Result

SCHEDULES, CHUNK = 400, 200
SOAK, SOAK_CHUNK = 40_000, 2_000

Chunks = dict[int, Future[list[Result]]]


@pytest.fixture(scope="module")
def processes() -> Iterator[ThreadPoolExecutor]:
    """Each thread waits for a process."""
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as threads:
        yield threads


@pytest.fixture(scope="module")
def chunks(processes: ThreadPoolExecutor) -> Chunks:
    """The results by the first seed of a chunk. All chunks run from the first test on."""
    return {first: processes.submit(results, first, CHUNK) for first in range(0, SCHEDULES, CHUNK)}


def reported(played: Sequence[Result]) -> list[str]:
    return [f"schedule {r.seed} ({r.flavour}; {dict(r.faults)}): {wrong}" for r in played for wrong in r.wrong[:3]]


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_every_schedule_ends_with_what_a_replay_says(chunks: Chunks, first: int) -> None:
    print(f"seeds {first} to {first + CHUNK - 1}; Schedule(N).run() of crash.schedule plays one alone")
    played = chunks[first].result()
    assert not reported(played)
    assert sum(result.events for result in played) > CHUNK
    assert sum(result.alerts for result in played) > CHUNK


def test_the_schedules_covered_every_fault_and_every_point(chunks: Chunks) -> None:
    """Every fault took place often and in every schedule at least once; workers were killed at every interception
    point.
    """
    played = [result for chunk in chunks.values() for result in chunk.result()]
    faults = sum((result.faults for result in played), Counter[str]())
    deaths = sum((result.points for result in played), Counter[str]())
    print(f"faults {faults}\ndeaths {deaths}")
    assert all(result.faults and not result.missed for result in played)
    assert {name for name in FAULTS if faults[name] >= SCHEDULES // 40} == set(FAULTS)
    assert {point for point in POINTS if deaths[point] >= 2} == set(POINTS)
    assert sum(result.moves for result in played) > SCHEDULES
    assert sum(result.dead_letters for result in played) > SCHEDULES


def test_a_seed_gives_the_same_run_in_any_process() -> None:
    """A failure must be reproducible: neither the order of sets nor earlier runs change anything."""
    one, two = ask("trace", 5, hash_seed="1"), ask("trace", 5, hash_seed="2")
    assert one == two
    assert len(set(one)) == 5


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SCHEDULES, SCHEDULES + SOAK, SOAK_CHUNK))
def test_many_more_schedules(processes: ThreadPoolExecutor, first: int) -> None:
    half = SOAK_CHUNK // 2
    print(f"seeds {first} to {first + SOAK_CHUNK - 1}")
    halves = [processes.submit(results, start, half) for start in (first, first + half)]
    assert not reported([result for future in halves for result in future.result()])
