"""Runs a worker: waits for its broker and topics, then its Faust app, until it is told to stop or cannot go on."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

import faust
import structlog

from monitor.partition import Live
from monitor.policy.model import Policy
from streams.app import make_app
from streams.cluster import Refused, Unavailable
from streams.kafka import KafkaCluster
from streams.kafka.admin import look
from streams.names import Names
from streams.owner import Setup
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import Existing, mismatches, partitions_for, table, told

log = structlog.get_logger("callwarden")

_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 15.0


async def partition_count(settings: Settings, look: Callable[[], Awaitable[Mapping[str, Existing]]]) -> int:
    """How many partitions the topics have, once the broker is there. Refused when a topic is not as it must be.

    ``look`` tells what topics there are; it may raise Unavailable.
    """
    delay_s = _FIRST_RETRY_S
    while True:
        try:
            found = await look()
        except Unavailable as error:
            log.warning("the broker is away; waiting for it", why=str(error), again_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LAST_RETRY_S)
        else:
            break
    faults = mismatches(settings, found)
    if faults:
        raise Refused(f"the topics are not as they must be\n{told(faults)}")
    return partitions_for(settings, found)


async def run_worker(settings: Settings, policy: Policy) -> None:
    """Be a worker under these settings. Refused when topics are not as they must be; what crashed the app."""
    cluster = KafkaCluster(settings)

    async def prepare() -> faust.App:
        setup = Setup(
            cluster=cluster,
            names=Names(settings.input_prefix, settings.output_prefix),
            policy=policy,
            secret=settings.secret(),
            live=Live(settings.idle_after_ms, settings.max_ahead_ms, settings.outage_grace_ms),
            partitions=await partition_count(settings, lambda: look(cluster.questions, table(settings))),
            partitioner=settings.partitioner,
            application_id=settings.application_id,
            rest_s=2 * settings.heartbeat_ms / 1000,
            now_ms=lambda: time.time_ns() // 1_000_000,
            telemetry=Telemetry(),
        )
        return make_app(setup, (settings.web_host, settings.web_port))[0]

    try:
        await serve(prepare())
    finally:
        await cluster.stop()


async def serve(preparing: Coroutine[Any, Any, faust.App]) -> None:
    """Run the app that is being prepared; on Ctrl-C or TERM, whenever they come, end in order.

    Raises what the preparation raises, and what crashed the app.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    told = asyncio.create_task(stopping.wait())
    prepared = asyncio.create_task(preparing)
    await asyncio.wait([told, prepared], return_when=asyncio.FIRST_COMPLETED)
    if not prepared.done():
        prepared.cancel()
        await asyncio.wait([prepared])
        return
    app = prepared.result()
    await app.start()
    ended = asyncio.create_task(app.wait_until_stopped())
    await asyncio.wait([told, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in (told, ended):
        task.cancel()
    await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


def set_up_logs(as_json: bool) -> None:
    """Readable lines on standard error, or JSON; tracebacks never show what variables held: numbers lie in them."""
    renderer: Any = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    if as_json:
        renderer = structlog.processors.JSONRenderer()
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.ExceptionRenderer(tracebacks)] if as_json else []),
            renderer,
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # The libraries tell of every lost connection in many lines; the engine tells of it in one.
    logging.basicConfig(level=logging.ERROR, format="%(asctime)s [%(levelname)s] %(name)s: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
