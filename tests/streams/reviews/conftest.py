"""The present, in which reviews are given."""

import time

import pytest
from review_broker import NOW

from streams.reviews import service as module


@pytest.fixture
def the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(NOW, NOW + 10**6))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 1_000_000)
    monkeypatch.setattr(module, "_LOOK_S", 0.001)
