"""What the commands on a cluster share: the cluster for one task, and the message if it cannot be reached."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from monitor.text.masking import mask_text
from monitor.text.timestamps import rfc3339
from streams.cli.inputs import checked_reason, fail, operator_name
from streams.kafka.api import OffsetOutOfRange, PermanentError, TransientError
from streams.ops.control_client import Unconfirmed
from streams.runtime.wall_clock import epoch_ms
from streams.topics.reported_waits import STALE_MS

if TYPE_CHECKING:
    from streams.kafka.cluster import KafkaCluster
    from streams.ops.control_client import CommandAnswers
    from streams.settings.load import Settings
    from streams.topics.reported_waits import ReportedWaits

T = TypeVar("T")


def on_cluster(
    settings: "Settings", work: "Callable[[KafkaCluster], Coroutine[Any, Any, T]]", group: str | None = None
) -> T:
    """The result of ``work`` on the cluster, as a member of ``group`` if one is given."""
    from streams.kafka.cluster import KafkaCluster

    async def run() -> T:
        cluster = KafkaCluster(settings, group)
        try:
            return await work(cluster)
        finally:
            await cluster.stop()

    return asyncio.run(run())


def operate(command: str, settings: "Settings", work: "Callable[[KafkaCluster], Coroutine[Any, Any, T]]") -> T:
    """The result of ``work`` on the cluster. Exit status 3 if that cannot be reached, 2 if it refuses."""
    with answers(command):
        return on_cluster(settings, work)


class SignedReason(TypedDict):
    """The reason of a command, who gives it, and when."""

    reason: str
    by: str
    at_ms: int


def signed(reason: str, by: str | None) -> SignedReason:
    """The reason, signed with the given name, else the login name, and the time. Telephone numbers are masked."""
    return {
        "reason": mask_text(checked_reason(reason)),
        "by": operator_name("--by", by),
        "at_ms": epoch_ms(),
    }


def fail_unless_taken(answers: "CommandAnswers", silent: str | None) -> None:
    """End with exit status 1 if a partition refused the command, or did not answer.

    ``silent`` is the message for partitions without an answer, unless the cluster could no longer be reached; None: no
    answer was waited for.
    """
    lines = [
        f"refused: partition {number}: {mask_text(why)}; nothing was changed there"
        for number, why in answers.refused.items()
    ]
    if answers.silent and silent is not None:
        lines.append(not_confirmed(answers.away, answers.look) if answers.away else silent)
    if lines:
        fail("\n".join(lines), 1)


def not_confirmed(why: str, look: str) -> str:
    """The message for a command that was sent and not confirmed, as the cluster could no longer be reached."""
    return f"sent, not confirmed: {why}. {look}"


@contextmanager
def answers(command: str) -> Iterator[None]:
    """An error of the cluster ends the command with one line.

    Exit status 3 if it cannot be reached and nothing was sent, 2 if it refuses, 1 if a command is not confirmed.
    """
    try:
        yield
    except Unconfirmed as error:
        fail(f"callwarden {command}: {not_confirmed(str(error), error.look)}", 1)
    except TransientError as error:
        fail(f"callwarden {command}: {error}", 3)
    except (PermanentError, OffsetOutOfRange) as error:
        fail(f"callwarden {command}: {error}")


def waiting_lines(reported: "ReportedWaits", clock_topic: str, otherwise: str) -> Iterator[str]:
    """What decisions wait for by the newest ticks; if no worker reports it, that and ``otherwise``."""
    newest = "" if reported.newest_ms is None else rfc3339(reported.newest_ms, "seconds")
    for lines in reported.waits.values():
        for line in lines:
            yield f"waiting, as of {newest}: {line}"
    if reported.newest_ms is None or epoch_ms() - reported.newest_ms > STALE_MS:
        said = f"the newest tick is of {newest}" if newest else "no worker has written a tick"
        yield (
            f"{said} ({clock_topic}): no worker is running, or its ticks are not acknowledged; its /readyz says which. "
            f"{otherwise}"
        )
