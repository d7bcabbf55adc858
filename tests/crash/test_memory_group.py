"""The consumer group of the broker in memory behaves as Kafka's documentation says."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from crash.memory_stage import SEEDS, Stage, joined, nobody, play
from streams.kafka.api import (
    TP,
    Listener,
)


@pytest.mark.parametrize("seed", SEEDS)
def test_partition_n_of_all_topics_goes_to_the_same_member(seed: int) -> None:
    """RangeAssignor: `the assignor ... co-localizes partitions from several topics` when they have the same count."""

    async def go(stage: Stage) -> None:
        consumers = [await joined(stage.cluster(name)) for name in ("one", "two")]
        await asyncio.sleep(60)
        shares = [consumer.assignment() for consumer in consumers]
        for share in shares:
            assert {tp.partition for tp in share if tp.topic == "in"} == {
                tp.partition for tp in share if tp.topic == "also"
            }
        assert sorted(len(share) for share in shares) == [2, 4]
        assert len(shares[0] | shares[1]) == 6

    play(seed, go)


@pytest.mark.parametrize("seed", SEEDS)
def test_all_members_revoke_before_any_is_assigned(seed: int) -> None:
    """ConsumerRebalanceListener: `it is guaranteed that all consumer processes will invoke onPartitionsRevoked prior
    to any process invoking onPartitionsAssigned`; the callback is awaited.
    """
    events: list[str] = []

    async def go(stage: Stage) -> None:
        def listener(name: str) -> tuple[Callable[[frozenset[TP]], Awaitable[None]], ...]:
            async def assigned(tps: frozenset[TP]) -> None:
                events.append(f"{name} has {len(tps)}")

            async def revoked(tps: frozenset[TP]) -> None:
                await asyncio.sleep(1)
                events.append(f"{name} gave up {len(tps)}")

            return assigned, revoked

        first = await joined(stage.cluster("one"), *listener("one"))
        second = await joined(stage.cluster("two"), *listener("two"))
        await asyncio.sleep(60)
        assert events[:2] == ["one has 6", "one gave up 6"]
        assert sorted(len(c.assignment()) for c in (first, second)) == [2, 4]
        assert stage.broker.group.generation == 2
        await second.stop()
        await asyncio.sleep(60)
        assert events[-1] == "one has 6"

    play(seed, go)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("how", ["stopped", "cut off", "killed", "deaf"])
def test_a_member_without_heartbeats_is_expelled_and_notices_later(seed: int, how: str) -> None:
    """session.timeout.ms: `If no heartbeats are received by the broker before the expiration of this session timeout,
    then the broker will remove this client from the group and initiate a rebalance.` aiokafka sends none while the
    listener's `assigned` works (`deaf`).
    """
    gave_up: list[str] = []
    works: list[float] = []

    async def go(stage: Stage) -> None:
        first, second = stage.cluster("one"), stage.cluster("two")

        async def revoked(tps: frozenset[TP]) -> None:
            gave_up.append("one")

        async def assigned(tps: frozenset[TP]) -> None:
            await asyncio.sleep(works.pop() if works else 0)

        consumer = first.consumer(["in", "also"])

        async def live() -> None:
            await consumer.start(Listener(revoked, assigned))
            await asyncio.sleep(1000)

        first._link.process.run(live)
        other = await joined(second)
        await asyncio.sleep(60)
        assert len(consumer.assignment() | other.assignment()) == 6
        gave_up.clear()
        link = first._link
        if how == "deaf":
            works.append(60)
            stage.broker.group.rebalance()
        else:
            link.fall_silent()
            {"stopped": link.process.stop, "killed": link.process.kill, "cut off": lambda: setattr(link, "cut", True)}[
                how
            ]()
        await asyncio.sleep(25)
        assert len(other.assignment()) == 6
        assert stage.broker.group.expelled == 1
        if how in {"stopped", "killed"}:
            assert consumer.assignment(), "it does not know"
            assert not gave_up
        link.process.resume()
        link.cut = False
        link.be_heard()
        await asyncio.sleep(120)
        assert bool(gave_up) == (how != "killed")
        assert len(other.assignment()) == (6 if how == "killed" else 6 - len(consumer.assignment()))

    play(seed, go)


def test_a_short_stop_goes_unnoticed() -> None:
    async def go(stage: Stage) -> None:
        cluster = stage.cluster()
        consumer = cluster.consumer(["in"])
        cluster._link.process.run(lambda: consumer.start(Listener(nobody, nobody)))
        await asyncio.sleep(30)
        cluster._link.fall_silent()
        cluster._link.process.stop()
        await asyncio.sleep(5)
        cluster._link.process.resume()
        cluster._link.be_heard()
        await asyncio.sleep(60)
        assert (stage.broker.group.expelled, stage.broker.group.generation) == (0, 1)

    play(1, go)
