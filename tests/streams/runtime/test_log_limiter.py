"""Log lines of one kind come at most once a minute."""

import pytest

from streams.runtime.log_limiter import LogLimiter


def test_lines_of_a_kind_are_a_minute_apart_and_say_how_many_were_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 1_000.0
    log = LogLimiter(lambda: now_s)
    for _ in range(1_000):
        log.warn("one", n=1)
    log.warn("two")
    now_s += 60
    log.warn("one", n=2)
    lines = capsys.readouterr().out.splitlines()
    assert ["left_out=999" in line for line in lines] == [False, False, True]
