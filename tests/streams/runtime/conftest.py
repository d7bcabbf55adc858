"""The log lines of a server under test."""

import logging
from collections.abc import Callable

import pytest


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """Our own log lines; no other logger may log above debug, which would be a traceback."""

    def lines() -> list[str]:
        assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
        out = capsys.readouterr()
        assert "Traceback" not in out.out + out.err
        return [line for line in out.out.splitlines() if "warning" in line]

    return lines
