"""A day whose topics the tests of the audit change."""

import pytest

from crash.audited import ENFORCEMENT, count, finished_day, tenants_decided
from crash.world import World
from streams.kafka.api import TP


@pytest.fixture(scope="session")
def day() -> World:
    """A day with decisions in two partitions, and with several of the tenant of the first one."""

    def fits(world: World) -> bool:
        if world.partitions == 1 or min(count(world, ENFORCEMENT)[:2]) < 2:
            return False
        log = world.broker.logs[TP(ENFORCEMENT, 0)]
        first, *later = tenants_decided(world, ENFORCEMENT, 0)
        return first in later and log.last_stable == log.end  # no transaction is open

    return finished_day(fits, 5)
