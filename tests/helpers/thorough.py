"""Random tests with many seeds: some run in the fast suite, the others with the tests of services."""

from collections.abc import Sequence
from typing import Any

import pytest


def thorough(seeds: Sequence[Any], fast: int) -> list[Any]:
    """All seeds as parameters of a test, tuples as several. Those after the first ``fast`` run in `make test-services`,
    and so in `.ci/run`.
    """
    others = (seed if isinstance(seed, tuple) else (seed,) for seed in seeds[fast:])
    return [*seeds[:fast], *(pytest.param(*seed, marks=pytest.mark.thorough) for seed in others)]
