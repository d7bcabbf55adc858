"""Sources whose calls will be late are named once, by what the workers report and the sources file says now."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import structlog

from streams.ingest.assemble.late_sources import LateSourceWarnings
from streams.ingest.http.sources.sources_file import ForeignSources
from streams.kafka.api import TP, FetchedBatch, PermanentError
from streams.kafka.topic_names import TopicNames
from streams.topics.transaction_records import DecisionDelays, encode_tick

MINUTE = 60_000
SOURCES = """\
sources:
- {name: kamailio-acc, set: {ring_timeout: 1s}}
- {name: slow, format: kamailio-acc}
- {name: connect, format: amazon-connect, set: {settle: 5m}}
- {name: at-once, format: amazon-connect}
"""


class ClockLog:
    """The clock topic, with the ticks of a worker."""

    def __init__(self) -> None:
        self.ticks: list[bytes] = []
        self.allowed = True

    def tick(self, lateness_ms: int) -> None:
        self.ticks.append(encode_tick(len(self.ticks), {0: []}, DecisionDelays(lateness_ms, 30_000, 1_000)))

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(topics, 1)

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, len(self.ticks))

    async def read(self, tp: TP, start: int, stop: int) -> Any:
        if not self.allowed:
            raise PermanentError("not allowed")
        values = self.ticks[start:stop]
        keys: list[bytes | None] = [None] * len(values)
        yield FetchedBatch(start, stop, np.arange(start, stop), np.arange(start, stop), keys, list(values))


@pytest.fixture
def clock() -> ClockLog:
    return ClockLog()


@pytest.fixture
def warnings(tmp_path: Path) -> LateSourceWarnings:
    (tmp_path / "sources.yaml").write_text(SOURCES)
    return LateSourceWarnings(TopicNames(), ForeignSources(tmp_path / "sources.yaml", signed=False))


async def logged(warnings: LateSourceWarnings, clock: ClockLog) -> list[str]:
    with structlog.testing.capture_logs() as found:
        await warnings.refresh(clock)  # type: ignore[arg-type]
    return [each["event"] for each in found]


def late(lateness: str, source: str, held: str) -> str:
    return (
        f"source {source}: its calls will be late: expected less than the policy's lateness of {lateness}, got {held}"
    )


async def test_each_source_that_is_held_too_long_is_named_once_for_a_lateness(
    warnings: LateSourceWarnings, clock: ClockLog
) -> None:
    assert await logged(warnings, clock) == []  # no worker has reported anything
    clock.tick(10_000)
    assert await logged(warnings, clock) == [
        late("10s", "kamailio-acc", "settle 10s"),  # of calls that end with an event
        late("10s", "slow", "ring_timeout 3m"),
        late("10s", "connect", "settle 5m"),
    ]
    assert await logged(warnings, clock) == []
    clock.tick(4 * MINUTE)
    assert await logged(warnings, clock) == [late("4m", "connect", "settle 5m")]
    clock.tick(10 * MINUTE)
    assert await logged(warnings, clock) == []


async def test_a_clock_topic_that_cannot_be_read_ends_nothing(
    warnings: LateSourceWarnings, clock: ClockLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock.tick(1_000)
    clock.allowed = False
    rounds = []

    async def sleep(_: float) -> None:
        rounds.append(1)
        if len(rounds) == 3:
            raise InterruptedError

    monkeypatch.setattr("streams.ingest.assemble.late_sources.asyncio.sleep", sleep)
    with structlog.testing.capture_logs() as found, pytest.raises(InterruptedError):
        await warnings.run(clock)  # type: ignore[arg-type]
    assert [each["event"] for each in found] == ["the lateness of the policy is not known: not allowed"]
