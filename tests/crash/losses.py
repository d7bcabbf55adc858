"""A worker that is killed before its partition loses state or input, and what accepting the loss prints."""

from typing import Literal

from crash import judge
from crash.scenarios import MINUTE, NOON, operator_of, until
from crash.traffic import NAMES
from crash.world import World
from streams.topics.control_topic import AcceptCommand
from streams.worker.recovery import objection_to_loss


async def no_loss(
    world: World, what: Literal["lost_input", "lost_state"], offset: int, topic: str | None = None
) -> str | None:
    """Check what the command prints to an operator who accepts the loss."""
    return await objection_to_loss(operator_of(world), NAMES, 0, AcceptCommand(what, offset, "r", topic))


async def one_is_killed(world: World) -> None:
    """Kill the only worker at ten past twelve."""
    worker = world.add_worker()
    await until(world, NOON + 10 * MINUTE)
    assert len(judge.ids(world.broker, 0)) == 1
    worker.kill()
