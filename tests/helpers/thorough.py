"""Random tests with many seeds or examples: some run in the fast suite, the others with the tests of services."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy


def thorough(seeds: Sequence[Any], fast: int | Sequence[Any], soak: Sequence[Any] = ()) -> list[Any]:
    """All seeds as parameters of a test, tuples as several. ``fast`` are those of the fast suite, or how many of the
    first. The others run in `make test-services`, and so in `.ci/run`; those of ``soak`` in `make soak`.
    """
    quick = seeds[:fast] if isinstance(fast, int) else fast
    others = [seed for seed in seeds if seed not in quick]
    return [*quick, *_marked(others, pytest.mark.thorough), *_marked(soak, pytest.mark.soak)]


def _marked(seeds: Sequence[Any], mark: pytest.MarkDecorator) -> list[Any]:
    return [pytest.param(*(seed if isinstance(seed, tuple) else (seed,)), marks=mark) for seed in seeds]


def examples(
    *strategies: SearchStrategy[Any], fast: int, most: int
) -> Callable[[Callable[..., None]], Callable[[int], None]]:
    """A property of what hypothesis draws: of ``fast`` examples in the fast suite, and of ``most`` in
    `make test-services`. A failure prints how to repeat it.
    """

    def decorate(check: Callable[..., None]) -> Callable[[int], None]:
        @pytest.mark.parametrize("number", thorough([fast, most], 1), ids="{} examples".format)
        def test(number: int) -> None:
            more = settings(
                max_examples=number,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            )
            more(given(*strategies)(check))()

        test.__name__, test.__doc__ = check.__name__, check.__doc__
        return test

    return decorate
