"""What the commands on a cluster share: the cluster for one task, and what to say when it is away."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from monitor.text.masking import mask_numbers
from streams.cli.inputs import fail, person, why
from streams.kafka.api import OffsetOutOfRange, PermanentError, TransientError
from streams.ops.control_client import Unconfirmed

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.ops.control_client import CommandAnswers
    from streams.settings.load import Settings

T = TypeVar("T")


def operate(command: str, settings: "Settings", work: "Callable[[KafkaCluster], Coroutine[Any, Any, T]]") -> T:
    """What ``work`` gives on the cluster. Ends with exit status 3 where that is away, 2 where it will not do it."""
    from streams.kafka.cluster import KafkaCluster

    async def run() -> T:
        cluster = KafkaCluster(settings)
        try:
            return await work(cluster)
        finally:
            await cluster.stop()

    with answers(command):
        return asyncio.run(run())


class SignedReason(TypedDict):
    """Why a command is given, by whom, and when."""

    reason: str
    by: str
    at_ms: int


def signed(reason: str, by: str | None) -> SignedReason:
    """By the name that was given, else the login name; now. Telephone numbers are masked: it is noted for good."""
    return {"reason": mask_numbers(why(reason)), "by": person("--by", by), "at_ms": time.time_ns() // 1_000_000}


def refusals(answers: "CommandAnswers") -> list[str]:
    """What partitions' workers said of a command that they could not carry out, a line each."""
    return [
        f"refused: partition {number}: {mask_numbers(why)}; nothing has changed there"
        for number, why in answers.refused.items()
    ]


def not_confirmed(why: str, look: str) -> str:
    """What is said of a command that was sent, when the cluster went away before it was seen to be taken."""
    return f"sent, not confirmed: {why}. {look}"


def silence(answers: "CommandAnswers", otherwise: str) -> str:
    """What is said of partitions from which no answer came: ``otherwise``, unless the cluster went away meanwhile."""
    return not_confirmed(answers.away, answers.look) if answers.away else otherwise


@contextmanager
def answers(command: str) -> Iterator[None]:
    """What the cluster answers ends the command in one line.

    Exit status 3 where it is away and nothing was sent, 2 where it refuses, 1 where what was sent is not confirmed.
    """
    try:
        yield
    except Unconfirmed as error:
        fail(f"callwarden {command}: {not_confirmed(str(error), error.look)}", 1)
    except TransientError as error:
        fail(f"callwarden {command}: {error}", 3)
    except (PermanentError, OffsetOutOfRange) as error:
        fail(f"callwarden {command}: {error}")
