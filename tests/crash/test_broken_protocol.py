"""Every step of the protocol and every rule on clocks is necessary: without any one of them, some schedules fail.

The oracle, which shares no code with live and replay, finds the mistakes that both would make.
"""

import pytest

from crash.broken import BROKEN, CONTRACT_BROKEN, broken
from crash.runner import ask

WITHIN = 400


@pytest.mark.parametrize("name", [*BROKEN, *CONTRACT_BROKEN])
def test_what_is_to_be_broken_is_where_it_is_said_to_be(name: str) -> None:
    """Shows at once which change of the product must be followed here."""
    with broken((BROKEN | CONTRACT_BROKEN)[name]):
        pass


@pytest.fixture(scope="module")
def shown() -> dict[str, tuple[int, str] | None]:
    return dict(ask("broken", WITHIN, *BROKEN, *CONTRACT_BROKEN))


@pytest.mark.parametrize("name", [*BROKEN, *CONTRACT_BROKEN])
def test_a_protocol_that_is_broken_is_found_out(shown: dict[str, tuple[int, str] | None], name: str) -> None:
    found = shown[name]
    print(name, found)
    assert found is not None, f"none of {WITHIN} schedules shows it"
