"""Runs the Faust app of a worker until it is told to stop, or until it cannot go on."""

import asyncio
import logging
import signal
import sys
from typing import Any

import faust
import structlog

from streams.cluster import Cluster, Refused, Unavailable
from streams.names import Names

log = structlog.get_logger("callwarden")

_FIRST_RETRY_S, _LAST_RETRY_S = 0.5, 15.0


async def partition_count(cluster: Cluster, names: Names) -> int:
    """How many partitions the topics have, once the broker is there. Refused when they do not fit."""
    delay_s = _FIRST_RETRY_S
    while True:
        try:
            counts = await cluster.partitions(names.all)
        except Unavailable as error:
            log.warning("the broker is away; waiting for it", why=str(error), again_in_s=delay_s)
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, _LAST_RETRY_S)
        else:
            break
    absent = [topic for topic in names.all if topic not in counts]
    if absent:
        raise Refused(f"no such topics: {', '.join(absent)}; expected those of docs/live.md")
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{topic} {count}" for topic, count in counts.items())
        raise Refused(f"the topics have different numbers of partitions: {told}; expected the same for all")
    return counts[names.inputs[0]]


async def serve(app: faust.App) -> None:
    """Start the app; on Ctrl-C or TERM end it in order. What crashed it is raised."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    await app.start()
    told = asyncio.create_task(stopping.wait())
    ended = asyncio.create_task(app.wait_until_stopped())
    await asyncio.wait([told, ended], return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    await app.stop()
    ended.cancel()
    reason = app.crash_reason
    if reason is not None:
        raise reason


def set_up_logs(as_json: bool) -> None:
    """Readable lines on standard error, or JSON; tracebacks never show what variables held: numbers lie in them."""
    renderer: Any = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain)
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


_plain = structlog.dev.plain_traceback
