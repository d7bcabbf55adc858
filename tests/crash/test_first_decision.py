"""The first records of an empty installation, under the policy and the settings of `callwarden live`."""

import random

import pytest

from crash import judge
from crash.scenarios import LATE as LATE_CALLS
from crash.scenarios import MINUTE, NOON, SECOND, call, complaint, count, play, until
from crash.world import World
from monitor.partition.checkpoint import DecidingSettings
from monitor.policy.load import loads
from streams.cli.develop.live import NO_GRACE_MS, POLICY

LIVE = loads(POLICY, "policy.yaml")


@pytest.mark.parametrize(("grace_ms", "decided"), [(NO_GRACE_MS, 1), (DecidingSettings().outage_grace_ms, 0)])
def test_an_empty_installation_decides_calls_and_a_complaint_within_a_minute(grace_ms: int, decided: int) -> None:
    """The default grace period shows that the test can fail."""
    live = DecidingSettings(outage_grace_ms=grace_ms)
    world = World(random.Random(1), LIVE, live, 1, NOON)
    sent_ms = NOON + 3 * MINUTE
    world.produce([call(sent_ms - 9 * SECOND + n * 70, f"c{n}", sent_ms) for n in range(120)])
    world.produce([complaint(sent_ms, "k")])

    async def go() -> None:
        world.add_worker()
        await until(world, sent_ms + MINUTE)
        assert len(judge.ids(world.broker, 0)) == decided
        assert count(world, LATE_CALLS) == 0
        assert not list(judge.wrong(world.broker, LIVE, live, 1))

    play(world, go)
