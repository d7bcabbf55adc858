"""After any kill, stop, network partition or loss at any time, the topics equal a replay of the same records."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import pytest

from crash.runner import results
from crash.schedule import Result
from crash.schedule_faults import FAULTS
from crash.traps import POINTS

SCHEDULES = 250
FAST = range(4, 28)  # with every fault
ALL = pytest.param(range(SCHEDULES), marks=pytest.mark.thorough)
SOAK, SOAK_CHUNK = 40_000, 2_000

Played = Callable[[range], list[Result]]


@pytest.fixture(scope="module")
def processes() -> Iterator[ThreadPoolExecutor]:
    """Each thread waits for a process."""
    with ThreadPoolExecutor(min(2, os.cpu_count() or 1)) as threads:
        yield threads


@pytest.fixture(scope="module")
def played(processes: ThreadPoolExecutor) -> Played:
    """Plays a part once, for all tests: half of it with the extensions, half without."""

    @cache
    def play(part: range) -> list[Result]:
        half = len(part) // 2
        halves = [
            processes.submit(results, start, half, extensions=start == part.start)
            for start in (part.start, part.start + half)
        ]
        return [result for future in halves for result in future.result()]

    return play


def reported(played: Sequence[Result]) -> list[str]:
    return [f"schedule {r.seed} ({r.flavour}; {dict(r.faults)}): {wrong}" for r in played for wrong in r.wrong[:3]]


@pytest.mark.parametrize("part", [FAST, ALL], ids=str)
def test_every_schedule_ends_with_what_a_replay_says(played: Played, part: range) -> None:
    print(f"{part}; Schedule(N).run() of crash.schedule plays one alone")
    found = played(part)
    assert len(found) == len(part)
    assert not reported(found)
    assert sum(result.events for result in found) > len(part)
    assert sum(result.alerts for result in found) > len(part)


@pytest.mark.parametrize("part", [FAST, ALL], ids=str)
def test_the_schedules_covered_every_fault(played: Played, part: range) -> None:
    """Every fault took place often, and in every schedule at least one."""
    found = played(part)
    faults = sum((result.faults for result in found), Counter[str]())
    print(f"faults {faults}")
    assert all(result.faults and not result.missed for result in found)
    assert {name for name in FAULTS if faults[name] >= max(len(part) // 40, 1)} == set(FAULTS)
    assert sum(result.moves for result in found) > len(part)
    assert sum(result.dead_letters for result in found) > len(part)


@pytest.mark.parametrize("part", [ALL], ids=str)
def test_the_schedules_covered_every_point(played: Played, part: range) -> None:
    """Workers were killed at every interception point."""
    deaths = sum((result.points for result in played(part)), Counter[str]())
    print(f"deaths {deaths}")
    assert {point for point in POINTS if deaths[point] >= 2} == set(POINTS)


def test_a_seed_gives_the_same_run_in_any_process(played: Played) -> None:
    """A failure must be reproducible: the order of sets, earlier runs and the extensions change nothing."""
    first = FAST.start + 3  # others were played before it in the process that has the extensions
    before = played(FAST)[3:6]
    assert results(first, 3, hash_seed="2", extensions=False) == before
    assert len({result.trace for result in before}) == 3


@pytest.mark.soak
@pytest.mark.parametrize("first", range(SCHEDULES, SCHEDULES + SOAK, SOAK_CHUNK))
def test_many_more_schedules(processes: ThreadPoolExecutor, first: int) -> None:
    half = SOAK_CHUNK // 2
    print(f"seeds {first} to {first + SOAK_CHUNK - 1}")
    halves = [processes.submit(results, start, half, extensions=start == first) for start in (first, first + half)]
    assert not reported([result for future in halves for result in future.result()])
