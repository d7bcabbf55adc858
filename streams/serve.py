"""Runs a worker: its Faust app, which waits for broker and topics, until it is told to stop or cannot go on."""

import asyncio
import logging
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import faust
import structlog

from monitor.masking import mask_numbers
from monitor.partition import Live
from monitor.policy.model import Policy
from streams.app import make_worker
from streams.cluster import Refused, Unavailable
from streams.kafka import KafkaCluster
from streams.kafka.admin import look
from streams.names import Names
from streams.settings import Settings
from streams.setup import Setup
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
    """Be a worker under these settings. Refused when it cannot be one as things are; what else ended the app."""
    cluster, telemetry = KafkaCluster(settings), Telemetry()
    telemetry.broker(away=True)  # until it has answered

    async def set_up() -> Setup:
        return Setup(
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
            telemetry=telemetry,
        )

    try:
        await serve(make_worker(settings.application_id, telemetry, set_up, settings.web_host, settings.web_port))
    finally:
        await cluster.stop()


async def serve(app: faust.App) -> None:
    """Run the app; on Ctrl-C or TERM, whenever they come, end in order.

    Refused when its pages cannot be served; what ended the app.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    try:
        await app.start()
    except OSError as error:
        await app.stop()
        raise Refused(
            f"/metrics, /readyz and /livez cannot be served at {app.conf.web_bind}:{app.conf.web_port}: "
            f"{error.strerror or error}; a free CALLWARDEN_WEB_PORT, at an address of this machine as "
            "CALLWARDEN_WEB_HOST, would be right"
        ) from None
    told = asyncio.create_task(stopping.wait())
    ended = asyncio.create_task(app.wait_until_stopped())
    await asyncio.wait([told, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in (told, ended):
        task.cancel()
    await app.stop()
    if app.crash_reason is not None:
        raise app.crash_reason


def set_up_logs(as_json: bool) -> None:
    """Readable lines on standard error, or JSON, the libraries' lines as ours.

    Tracebacks show neither what variables held nor telephone numbers: an error's message may quote a record.
    """
    render: Any = structlog.processors.JSONRenderer()
    if not as_json:
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_masked_traceback),
        render,
    ]
    structlog.configure(processors=processors, logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _mask_event],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        )
    )
    # The libraries tell of every lost connection in many lines; the engine tells of it in one.
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _masked_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    return mask_numbers("".join(traceback.format_exception(*exc_info)).rstrip())


def _mask_event(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Libraries put the errors of our code into their own sentences."""
    return {**line, "event": mask_numbers(line["event"])}
