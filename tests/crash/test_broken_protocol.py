"""Every step of the protocol is needed: without any one of them, schedules go wrong."""

import pytest

from crash.broken import BROKEN
from crash.runner import ask

WITHIN = 150


@pytest.fixture(scope="module")
def shown() -> dict[str, tuple[int, str] | None]:
    return dict(ask("broken", WITHIN, *BROKEN))


@pytest.mark.parametrize("name", BROKEN)
def test_a_protocol_that_is_broken_is_found_out(shown: dict[str, tuple[int, str] | None], name: str) -> None:
    found = shown[name]
    print(name, found)
    assert found is not None, f"none of {WITHIN} schedules shows it"
