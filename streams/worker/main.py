"""Runs a worker: its Faust app, which waits for broker and topics, until a stop signal or a permanent error."""

import asyncio
import ctypes
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import faust
import structlog

from monitor.core.garbage_collection import reduce_garbage_collection
from monitor.policy.model import Policy
from monitor.text.durations import DAY, format_duration
from streams.kafka.admin import existing_topics, read_group
from streams.kafka.api import TP, PermanentError, TransientError
from streams.kafka.application_id import USUAL, ConsumerGroup, startup_fault
from streams.kafka.cluster import KafkaCluster
from streams.kafka.topic_admin import (
    ExistingTopic,
    describe_mismatches,
    find_mismatches,
    for_workers,
    partitions_for,
    required_topics,
)
from streams.kafka.topic_names import TopicNames
from streams.runtime.retry import retry
from streams.runtime.shutdown import stop_requested
from streams.runtime.wall_clock import epoch_ms
from streams.settings.load import Settings, variable
from streams.topics.state_inputs import check_inputs
from streams.worker.app import make_worker
from streams.worker.context import WorkerContext
from streams.worker.metrics import WorkerMetrics

log = structlog.get_logger("callwarden")

T = TypeVar("T")

_FAR_MS = 30 * DAY
_M_ARENA_MAX = -8  # as in malloc.h of glibc


async def partition_count(
    settings: Settings, look: Callable[[], Awaitable[Mapping[str, ExistingTopic]]], stored: int | None = None
) -> int:
    """The number of partitions to work on; waits until the broker is reachable.

    ``look`` returns the existing topics, and may raise TransientError. ``stored`` is the number of partitions of the
    stored state: if topics have more, only the partitions that all topics have are used. Raises PermanentError if a
    topic is misconfigured.
    """
    found = await _once_there(look)
    faults = for_workers(find_mismatches(settings, found, stored), settings)
    grown = [fault for fault in faults if fault.grown]
    if len(grown) < len(faults):
        raise PermanentError(f"topics are misconfigured\n{describe_mismatches(faults)}")
    for fault in grown:
        log.warning("a topic has more partitions than the state", topic=fault.topic, why=fault.wrong, fix=fault.fix)
    return partitions_for(settings, found, stored)


async def _once_there(ask: Callable[[], Awaitable[T]]) -> T:
    """The result of ``ask``, retried while it raises TransientError."""

    def away(error: TransientError, delay_s: float) -> None:
        log.warning("the broker is away; waiting for it", why=str(error), again_in_s=delay_s)

    return await retry(ask, TransientError, away)


async def check_identity(settings: Settings, cluster: KafkaCluster, partitions: int) -> None:
    """Raise PermanentError if workers with other output topics use the application id. Raises TransientError."""
    names = TopicNames.from_settings(settings)
    own = [TP(names.output(name), n) for name in ("state", "enforcement", "clock") for n in range(partitions)]
    mine = await read_group(cluster.questions, settings.application_id)
    usual = ConsumerGroup()
    if settings.application_id != USUAL:
        with suppress(PermanentError):  # without permission to describe the group it is not a member
            usual = await read_group(cluster.questions, USUAL)
    why = startup_fault(settings, mine, usual, begun=any((await cluster.ends(own)).values()))
    if why:
        raise PermanentError(why)


async def run_worker(settings: Settings, policy: Policy) -> None:
    """Run a worker. Raises PermanentError if it cannot work as things are, or the error that ended the app."""
    if (settings.enforce_from_ms or 0) > epoch_ms() + _FAR_MS:
        # It could not be changed later.
        raise PermanentError(
            f"{variable('enforce_from_ms')} is more than {format_duration(_FAR_MS)} ahead, and nothing would be "
            "decided until then; expected an earlier time"
        )
    reduce_garbage_collection()
    use_one_malloc_arena()
    cluster, telemetry = KafkaCluster(settings), WorkerMetrics(policy, settings.distance_options, settings.display)
    telemetry.broker(away=True)  # until it answers

    async def set_up() -> WorkerContext:
        names = TopicNames.from_settings(settings)
        stored = await _once_there(lambda: check_inputs(cluster, names))
        partitions = await partition_count(
            settings, lambda: existing_topics(cluster.questions, required_topics(settings)), stored
        )
        await _once_there(lambda: check_identity(settings, cluster, partitions))
        return WorkerContext(
            cluster=cluster,
            names=names,
            policy=policy,
            secret=settings.secret(),
            live=settings.deciding,
            partitions=partitions,
            partitioner=settings.partitioner,
            application_id=settings.application_id,
            rest_s=max(2.0, 2 * settings.heartbeat_ms / 1000),
            now_ms=epoch_ms,
            telemetry=telemetry,
            ready_lag=settings.ready_lag,
            enforce_from_ms=settings.enforce_from_ms or 0,
            measures=settings.measures == "on",
        )

    try:
        host, port = settings.web_host, settings.web_port
        app = make_worker(settings.application_id, telemetry, set_up, cluster.group_reader, host, port)
        await serve(app, settings.stop_within_ms / 1000)
    finally:
        await cluster.stop()


def use_one_malloc_arena() -> None:
    """Have all threads allocate from one malloc arena, where the C library supports that (glibc).

    By default each thread has its own arena and keeps its memory: each thread that closed a large pane would.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


async def serve(app: faust.App, stop_within_s: float) -> None:
    """Run the app; on SIGINT or SIGTERM stop in order, or be cut off after ``stop_within_s``.

    Raises PermanentError if its pages cannot be served, or the error that ended the app.
    """
    with stop_requested(stop_within_s) as stopping:
        await _serve(app, stopping)


async def _serve(app: faust.App, stopping: asyncio.Event) -> None:
    try:
        await app.start()
    except OSError as error:
        await app.stop()
        raise PermanentError(
            f"cannot listen on {app.conf.web_bind}:{app.conf.web_port} for /healthz, /readyz and /metrics: "
            f"{error.strerror or error}; expected a free port as CALLWARDEN_WEB_PORT and an address of this machine as "
            "CALLWARDEN_WEB_HOST"
        ) from None
    asked_to_stop = asyncio.create_task(stopping.wait())
    ended = asyncio.create_task(app.wait_until_stopped())
    await asyncio.wait([asked_to_stop, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in (asked_to_stop, ended):
        task.cancel()
    await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason
