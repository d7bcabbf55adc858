"""The worker's Faust app: its agents, and as services the consumer loop and the health and metrics pages.

`faust -A streams.worker.app agents` lists the agents. `callwarden worker` starts a worker.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

from mode import Service
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from streams.kafka.application_id import USUAL
from streams.metrics.factory import about_process, http_refusals
from streams.runtime.http_server import HttpServer, listen
from streams.wording.worker_wording import worker_text
from streams.worker.agents import InputAgents
from streams.worker.consumer_loop import ConsumerLoop
from streams.worker.context import WorkerContext
from streams.worker.extension_agents import ExtensionAgents, GroupReaders
from streams.worker.faust_app import FaustApp
from streams.worker.metrics import AgentMetrics, WorkerMetrics
from streams.worker.wait_reasons import waiting_partitions

_STUCK_S = 60.0  # far above the longest round


class ConsumerLoopService(Service):
    """Creates the consumer loop and runs it as long as the app; an error in either ends the app."""

    def __init__(self, make: Callable[[], Awaitable[ConsumerLoop]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.consumer_loop: ConsumerLoop | None = None
        self._make = make
        self._running: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Start the consumer loop."""
        self._running = asyncio.create_task(self._run(), name="consumer-loop")

    async def _run(self) -> None:
        self.consumer_loop = await self._make()
        await self.consumer_loop.run()

    @property
    def not_healthy(self) -> str | None:
        """Why the consumer loop makes no progress, so that only a restart helps; None while it runs."""
        if self._running is None or self._running.done():
            return "the consumer loop does not run"
        stuck_s = self.consumer_loop.stuck_s if self.consumer_loop is not None else 0.0
        return f"the consumer loop has not completed a round for {stuck_s:.0f} s" if stuck_s > _STUCK_S else None

    @Service.task
    async def _watch(self) -> None:
        assert self._running is not None
        await asyncio.shield(self._running)

    async def crash(self, reason: BaseException) -> None:
        """End the app without logging ``reason``: the caller of the app reports it, and mode would log it again."""
        root = self.beacon.root
        cast(Service, root.data if root is not None else self)._crash(reason)

    async def on_stop(self) -> None:
        """Stop the consumer loop: it commits what is due and leaves the group."""
        if self._running is None:
            return
        if self.consumer_loop is None:
            self._running.cancel()
        else:
            self.consumer_loop.stop()
        await asyncio.wait([self._running])


class PagesService(Service):
    """The worker's pages as a service, on the server that all programs use; Faust's own has no deadlines."""

    def __init__(self, pages: ASGIApp, host: str, port: int, registry: CollectorRegistry, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._server, self._address = HttpServer(pages, refused=http_refusals(registry)), (host, port)
        self._serving: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Start the server. Raises OSError if it cannot listen at the address."""
        self._serving = asyncio.create_task(self._server.serve([listen(*self._address)]), name="pages")

    @Service.task
    async def _watch(self) -> None:
        assert self._serving is not None
        await asyncio.shield(self._serving)

    async def on_stop(self) -> None:
        """Stop the server and close its connections."""
        self._server.should_exit = True
        if self._serving is not None:
            await asyncio.wait([self._serving])


def make_worker(
    application_id: str,
    telemetry: WorkerMetrics,
    set_up: Callable[[], Awaitable[WorkerContext]],
    group_readers: GroupReaders,
    host: str,
    port: int,
) -> FaustApp:
    """The app of a worker, which calls ``set_up`` once it has started.

    ``/healthz``, ``/readyz`` and ``/metrics`` are served from the start, at ``host`` and ``port``. The agents of other
    packages read the decisions with ``group_readers``.
    """
    # Faust serves nothing at the address: `serve` reads it for its error message.
    app = FaustApp(application_id, web_bind=host, web_port=port)
    agents, extensions = InputAgents(app), ExtensionAgents(app, telemetry.agents)

    async def make() -> ConsumerLoop:
        context = await set_up()
        extensions.begin(context.names, context.application_id, group_readers)
        return ConsumerLoop(context, agents)

    service = ConsumerLoopService(make)

    async def healthz(_: Request) -> Response:
        why = service.not_healthy
        return PlainTextResponse(f"{why or 'ok'}\n", status_code=503 if why else 200)

    async def readyz(request: Request) -> Response:
        consumer_loop = service.consumer_loop
        why = consumer_loop.not_ready if consumer_loop is not None else [worker_text("broker_away")]
        notices = consumer_loop.notices if consumer_loop is not None else []
        status = 503 if why else 200
        if "application/json" in request.headers.get("accept", ""):
            waits = waiting_partitions(consumer_loop.forecasts if consumer_loop is not None else {})
            return JSONResponse({"ready": not why, "reasons": why, "notices": notices, "waits": waits}, status)
        lines = [*(why or ["ready"]), *notices]
        return PlainTextResponse("\n".join(lines) + "\n", status)

    about_process(telemetry.registry)

    async def metrics(_: Request) -> Response:
        return Response(await telemetry.page(), media_type="text/plain; version=0.0.4")

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    for each in (PagesService(Starlette(routes=routes), host, port, telemetry.registry), service, extensions):
        app.service(each)  # type: ignore[arg-type]  # as above
    return app


def __getattr__(name: str) -> FaustApp:
    """The app that Faust's command line finds here. It lists the agents, and does not start."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = FaustApp(USUAL)
    InputAgents(app)
    ExtensionAgents(app, AgentMetrics(CollectorRegistry()))
    return app
