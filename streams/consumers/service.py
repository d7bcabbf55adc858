"""Runs a consumer: what it does, and its pages for machines, until it is told to stop or one of them fails."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from streams.consumers.follower import Follower
from streams.kafka.api import PermanentError
from streams.metrics.factory import about_process, gauges, http_refusals
from streams.runtime.http_server import HttpServer, listen
from streams.runtime.monotonic import steady_s
from streams.runtime.shutdown import stop_requested

_STALE_S = 15.0


async def host(
    work: Sequence[Coroutine[Any, Any, None]],
    app: Any,
    address: tuple[str, int],
    setting: str,
    stop_within_s: float,
    registry: CollectorRegistry,
) -> None:
    """Do ``work`` and serve the ASGI ``app``, until Ctrl-C or TERM, when all is cancelled, or until one of them ends.

    Raises what ended it; Refused when ``address``, whose port is ``setting``, cannot be served at. Once it is told to
    stop, the process is cut off after ``stop_within_s``. Connections that are refused are counted in ``registry``.
    """
    try:
        listening = listen(*address)
    except OSError as error:
        for each in work:
            each.close()
        raise PermanentError(
            f"nothing can be served at {address[0]}:{address[1]}: {error.strerror or error}; a free {setting}, at an "
            "address of this machine as CALLWARDEN_WEB_HOST, would be right"
        ) from None
    server = HttpServer(app, refused=http_refusals(registry))
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


def pages(registry: CollectorRegistry, not_ready: Callable[[], str | None]) -> list[Route]:
    """``/metrics``, with what there is to say of the process, ``/healthz``, and ``/readyz``, which says why it is not:
    what ``not_ready`` gives, if anything."""

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
    """An application of these pages alone."""
    return Starlette(routes=pages(registry, not_ready))


def behind(follower: Follower, stale_s: float = _STALE_S) -> str | None:
    """Why a consumer is not ready: what it has not handled yet; None when it is."""
    progress = follower.progress()
    if not progress.behind:
        return "has not reached the topics yet: the log says why"
    if progress.as_of_s is None:
        return f"has not read the topics to their ends yet: {sum(progress.behind.values())} records to go"
    now_s = steady_s()
    if (overdue := progress.overdue(now_s)) is not None and overdue.in_transaction:
        return overdue.reason(now_s)
    late_s = now_s - progress.as_of_s
    if overdue is not None or late_s > stale_s:
        return f"knows what was written up to {late_s:.0f} s ago; {sum(progress.behind.values())} records to go"
    return None


class FollowedTopics(Collector):
    """What Prometheus is told of how far a consumer is, looked up when it asks."""

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
