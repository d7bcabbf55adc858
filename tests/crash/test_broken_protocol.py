"""Every step of the protocol and every sentence on clocks is needed: without any one of them, schedules go wrong.

What live and replay would do wrong alike is found by the oracle, which shares no code with either.
"""

import pytest

from crash.broken import BROKEN, CONTRACT_BROKEN
from crash.runner import ask

WITHIN = 400


@pytest.fixture(scope="module")
def shown() -> dict[str, tuple[int, str] | None]:
    return dict(ask("broken", WITHIN, *BROKEN, *CONTRACT_BROKEN))


@pytest.mark.parametrize("name", [*BROKEN, *CONTRACT_BROKEN])
def test_a_protocol_that_is_broken_is_found_out(shown: dict[str, tuple[int, str] | None], name: str) -> None:
    found = shown[name]
    print(name, found)
    assert found is not None, f"none of {WITHIN} schedules shows it"
