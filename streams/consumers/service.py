"""Runs a consumer and its operational HTTP endpoints until a stop is requested or one of them fails."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.consumers.follower import Follower, FollowerProgress
from streams.kafka.api import PermanentError, TransientError
from streams.metrics.factory import about_process, gauges, http_refusals
from streams.runtime.http_server import USUAL, HttpServer, ServerOptions, listen
from streams.runtime.monotonic import steady_s
from streams.runtime.retry import Backoff, retry
from streams.runtime.shutdown import stop_requested
from streams.wording.consumer_wording import consumer_text

log = structlog.get_logger("callwarden")

_STALE_S = 15.0

T = TypeVar("T")


async def host(
    work: Sequence[Coroutine[Any, Any, None]],
    app: Any,
    address: tuple[str, int],
    setting: str,
    stop_within_s: float,
    registry: CollectorRegistry,
    options: ServerOptions = USUAL,
) -> None:
    """Run ``work`` and serve the ASGI ``app`` until Ctrl-C or SIGTERM, which cancels all, or until one of them ends.

    Re-raises the exception that ended it. Raises PermanentError if it cannot listen at ``address``, whose port is the
    setting ``setting``. After a stop request the process is killed after ``stop_within_s``. Refused connections are
    counted in ``registry``.
    """
    try:
        listening = listen(*address)
    except OSError as error:
        for each in work:
            each.close()
        raise PermanentError(
            f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}; expected a free port as {setting} "
            "and an address of this machine as CALLWARDEN_WEB_HOST"
        ) from None
    server = HttpServer(app, options.limits, refused=http_refusals(registry), tls=options.tls)
    with stop_requested(stop_within_s) as stopping:
        serving = asyncio.create_task(server.serve([listening]))
        tasks = [asyncio.create_task(stopping.wait()), serving, *map(asyncio.create_task, work)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            server.should_exit = True
            for task in tasks:
                if task is not serving:
                    task.cancel()
            await asyncio.wait(tasks)
            listening.close()
    for task in done:
        task.result()


async def until_one_ends(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all ``work`` until one of it ends, then cancel the others. Re-raises the exception that ended it."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


def pages(registry: CollectorRegistry, not_ready: Callable[[], str | None]) -> list[Route]:
    """``/metrics``, including process metrics, ``/healthz`` and ``/readyz``. ``/readyz`` answers 503 with the reason
    that ``not_ready`` returns; None means ready."""

    about_process(registry)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")

    async def healthz(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        why = not_ready()
        return PlainTextResponse(f"{why or 'ready'}\n", status_code=503 if why else 200)

    return [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]


def pages_app(registry: CollectorRegistry, not_ready: Callable[[], str | None]) -> Starlette:
    """An application that serves only `pages`."""
    return Starlette(routes=pages(registry, not_ready))


def lag_reason(follower: Follower, stale_s: float = _STALE_S) -> str | None:
    """Why a consumer is not ready: what it has not handled yet, and why its last try failed. None if it is ready."""
    progress = follower.progress()
    reason = _lag_reason(progress, stale_s)
    if reason is None or progress.failure is None:
        return reason
    return consumer_text("failing", doing=reason, why=progress.failure)


def _lag_reason(progress: FollowerProgress, stale_s: float) -> str | None:
    if not progress.behind:
        return consumer_text("not_begun")
    if progress.as_of_s is None:
        return consumer_text("not_caught_up", records=sum(progress.behind.values()))
    now_s = steady_s()
    if (overdue := progress.overdue(now_s)) is not None and overdue.in_transaction:
        return overdue.reason(now_s)
    late_s = now_s - progress.as_of_s
    if overdue is not None or late_s > stale_s:
        return consumer_text("behind", seconds=f"{late_s:.0f}", records=sum(progress.behind.values()))
    return None


class FollowedTopics(Collector):
    """The consumer's lag metrics, computed at scrape time."""

    def __init__(self, consumer: str, follower: Follower) -> None:
        self._consumer, self._follower = consumer, follower

    def collect(self) -> Iterator[GaugeMetricFamily]:
        progress = self._follower.progress()
        lag = gauges("callwarden_consumer_lag_records")
        for tp, records in progress.behind.items():
            lag.add_metric([self._consumer, tp.topic, str(tp.partition)], records)
        yield lag
        open_s, now_s = dict.fromkeys(progress.behind, 0.0), steady_s()
        open_s |= {each.tp: now_s - each.since_s for each in progress.waiting if each.in_transaction}
        transactions = gauges("callwarden_consumer_open_transaction_seconds")
        for tp, seconds in open_s.items():
            transactions.add_metric([self._consumer, tp.topic, str(tp.partition)], seconds)
        yield transactions
        as_of = gauges("callwarden_consumer_as_of_timestamp_seconds")
        if progress.as_of_ms is not None:
            as_of.add_metric([self._consumer], progress.as_of_ms / 1000)
        yield as_of


async def once_available(work: Callable[[], Awaitable[T]], longest_s: float) -> T:
    """The result of ``work``, tried again while it raises TransientError, at the latest every ``longest_s``."""

    def waiting(error: TransientError, delay_s: float) -> None:
        log.warning("waiting", why=str(error), again_in_s=delay_s)

    return await retry(work, TransientError, waiting, Backoff(longest_s=longest_s))
