"""The simulated world of these tests, created once: every kind of tenant over four days."""

from collections import defaultdict

import pytest
from simulated_world import World, make_world

from schemas.inputs import Cdr


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def calls_by_kind(world: World) -> dict[str, list[Cdr]]:
    """Outbound calls that reached the network, each once."""
    calls: dict[str, dict[tuple[str, str], Cdr]] = defaultdict(dict)
    for record in world.records:
        if isinstance(record, Cdr) and record.direction == "outbound" and record.outcome != "policy_blocked":
            calls[world.kind_of(record)][record.tenant_id, record.call_id] = record
    return {kind: list(each.values()) for kind, each in calls.items()}
