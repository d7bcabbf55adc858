"""Every step of the protocol and every rule on clocks is necessary: without any one of them, some schedules fail.

The oracle, which shares no code with live and replay, finds the mistakes that both would make.
"""

from collections.abc import Callable
from functools import cache

import pytest

from crash.broken import BROKEN, CONTRACT_BROKEN, broken
from crash.runner import ask
from helpers.thorough import thorough

WITHIN = 400
# One of each step, and some of the clocks.
FAST = (
    "2: no former owner is fenced",
    "3: stale batches are applied",
    "5: moves are not in the clock log",
    "6: decisions, then the state",
    "7: done falls",
    "8: late calls are put out again",
    "9: the memory is kept after a transaction that failed",
    "the watermark does not wait for reviews",
    "a clock goes back",
    "no call is a duplicate",
)
OTHERS = tuple(name for name in (*BROKEN, *CONTRACT_BROKEN) if name not in FAST)

Found = dict[str, tuple[int, str] | None]


@pytest.mark.parametrize("name", [*BROKEN, *CONTRACT_BROKEN])
def test_what_is_to_be_broken_is_where_it_is_said_to_be(name: str) -> None:
    """Shows at once which change of the product must be followed here."""
    with broken((BROKEN | CONTRACT_BROKEN)[name]):
        pass


@pytest.fixture(scope="module")
def shown() -> Callable[[str], tuple[int, str] | None]:
    """Which schedule shows a mutation, and how. Those of the fast suite are tried in one process, the others in one."""

    @cache
    def tried(names: tuple[str, ...]) -> Found:
        return dict(ask("broken", WITHIN, *names))

    return lambda name: tried(FAST if name in FAST else OTHERS)[name]


@pytest.mark.parametrize("name", thorough([*FAST, *OTHERS], len(FAST)))
def test_a_protocol_that_is_broken_is_found_out(shown: Callable[[str], tuple[int, str] | None], name: str) -> None:
    found = shown(name)
    print(name, found)
    assert found is not None, f"none of {WITHIN} schedules shows it"
