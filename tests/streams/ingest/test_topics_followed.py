"""The programs that write records follow changes of the topics; a topic that is deleted ends them."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from helpers.patience import PATIENCE_S
from monitor.adapters.shipped import open_adapter
from streams.dev.kafka_node import free_ports
from streams.ingest import placement as placement_module
from streams.ingest.assemble.main import Assemble
from streams.ingest.bridge.main import BridgeOptions
from streams.ingest.bridge.main import run as bridge
from streams.ingest.placement import TopicPlacement
from streams.kafka.api import TP, PermanentError, TopicInfo, TransientError
from streams.kafka.topic_names import TopicNames
from streams.settings.load import load


class Idle:
    """A member of a group whose broker is silent."""

    unanswered_s = 0.0

    async def start(self, listener: object) -> None:
        await asyncio.Event().wait()

    async def stop(self) -> None:
        pass


class Topics:
    """A cluster. ``counts`` has what each look-up of the topics finds; the last one stays."""

    def __init__(self, *counts: Mapping[str, int] | Exception) -> None:
        self.counts = list(counts)

    async def partitions(self, topics: Sequence[str]) -> dict[str, int]:
        found = self.counts[0] if len(self.counts) == 1 else self.counts.pop(0)
        if isinstance(found, Exception):
            raise found
        return {topic: found[topic] for topic in topics if topic in found}

    async def topics(self, names: Sequence[str]) -> dict[str, TopicInfo]:
        return {name: TopicInfo(4, "an-id") for name in names}

    async def topic_config(self, topic: str, name: str) -> str:
        return "delete"

    async def starts(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    async def ends(self, tps: Sequence[TP]) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    def consumer(self, topics: Sequence[str]) -> Idle:
        return Idle()


ALL = {**dict.fromkeys(TopicNames().all, 4), "callwarden.raw": 4, "theirs": 4}
WITHOUT = {topic: count for topic, count in ALL.items() if topic != "callwarden.dead-letter"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_module, "_REFRESH_S", 0.0)


async def assemble(cluster: Any) -> None:
    await Assemble(load({"assemble_port": free_ports(1)[0]}), cluster).host()


async def bridging(cluster: Any) -> None:
    options = BridgeOptions("theirs", "a-group", open_adapter("plivo", {}), "plivo")
    await bridge(load({"bridge_port": free_ports(1)[0]}), cluster, options)


@pytest.mark.parametrize("program", [assemble, bridging])
async def test_a_topic_that_is_deleted_ends_the_program(program: Callable[[Any], Any]) -> None:
    cluster = Topics(ALL, ALL, TransientError("the broker is away"), WITHOUT)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(PermanentError, match=r"there is no topic callwarden\.dead-letter"):
            await program(cluster)


async def test_added_partitions_are_noticed() -> None:
    more = dict.fromkeys(ALL, 6)
    cluster: Any = Topics(ALL, TransientError("the broker is away"), more, WITHOUT)
    placement = TopicPlacement(TopicNames(), "murmur2")
    await placement.refresh(cluster)
    sources = [f"source-{number}" for number in range(100)]
    with pytest.raises(PermanentError):
        await placement.follow(cluster)
    assert {placement.letter(source, None, ()).partition for source in sources} == set(range(6))
