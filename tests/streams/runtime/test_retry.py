"""Delays double up to a limit however long a failure lasts, and a success resets them."""

import asyncio

import pytest

from streams.kafka.api import PermanentError, TransientError
from streams.runtime import retry
from streams.runtime.retry import Backoff, delay


def test_delays_double_up_to_the_longest_and_start_over_after_a_success() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next_s() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert (backoff.failures, backoff.next_s()) == (0, 0.5)


@pytest.mark.parametrize("failures", [1_025, 1_000_000])
def test_what_fails_for_days_is_still_tried_again(failures: int) -> None:
    """2.0 ** 1024 exceeds a float: a receiver that was away for a day would have ended the notifier."""
    assert delay(failures, 1.0, 300.0) == 300.0
    assert delay(failures, 60_000, 480_000) == 480_000


def test_work_is_tried_again_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_S", 0.0)
    answers = iter([TransientError("away"), TransientError("away still"), 7])
    output: list[str] = []

    async def work() -> int:
        answer = next(answers)
        if isinstance(answer, TransientError):
            raise answer
        return answer

    def failed(error: TransientError, delay_s: float) -> None:
        output.append(f"{error}, again in {delay_s:g} s")

    assert asyncio.run(retry.retry(work, TransientError, failed)) == 7
    assert output == ["away, again in 0 s", "away still, again in 0 s"]


def test_another_error_ends_it() -> None:
    async def work() -> None:
        raise PermanentError("refused")

    with pytest.raises(PermanentError, match="refused"):
        asyncio.run(retry.retry(work, TransientError, lambda error, delay_s: None))
