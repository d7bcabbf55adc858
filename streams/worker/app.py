"""The worker's Faust app: the engine as a service, the agents, and the health and metrics pages."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import faust
from mode import Service
from prometheus_client import CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from streams.metrics.factory import about_process, http_refusals
from streams.runtime.http_server import HttpServer, listen
from streams.worker.agents import App, add_agents
from streams.worker.consumer_loop import ConsumerLoop
from streams.worker.context import WorkerContext
from streams.worker.metrics import WorkerMetrics

_STUCK_S = 60.0  # far above the longest round


class ConsumerLoopService(Service):
    """Creates the engine and runs it as long as the app; an error in either ends the app."""

    def __init__(self, make: Callable[[], Awaitable[ConsumerLoop]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.engine: ConsumerLoop | None = None
        self._make = make
        self._running: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Start the engine."""
        self._running = asyncio.create_task(self._run(), name="engine")

    async def _run(self) -> None:
        self.engine = await self._make()
        await self.engine.run()

    @property
    def not_healthy(self) -> str | None:
        """Why the engine makes no progress, so that only a restart helps; None while it runs."""
        if self._running is None or self._running.done():
            return "the engine does not run"
        stuck_s = self.engine.stuck_s if self.engine is not None else 0.0
        return f"the engine's loop has not turned for {stuck_s:.0f} s" if stuck_s > _STUCK_S else None

    @Service.task
    async def _watch(self) -> None:
        assert self._running is not None
        await asyncio.shield(self._running)

    async def crash(self, reason: BaseException) -> None:
        """End the app without logging ``reason``: the caller of the app reports it, and mode would log it again."""
        root = self.beacon.root
        cast(Service, root.data if root is not None else self)._crash(reason)

    async def on_stop(self) -> None:
        """Stop the engine: it commits what is due and leaves the group."""
        if self._running is None:
            return
        if self.engine is None:
            self._running.cancel()
        else:
            self.engine.stop()
        await asyncio.wait([self._running])


def make_app(context: WorkerContext) -> tuple[faust.App, ConsumerLoop]:
    """The app of a worker with a known context, without pages and ready to start, and its engine."""
    app = _new_app(context.application_id)
    engine = ConsumerLoop(context, add_agents(app))

    async def made() -> ConsumerLoop:
        return engine

    app.service(ConsumerLoopService(made))  # type: ignore[arg-type]  # its code accepts an instance
    return app, engine


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
    application_id: str, telemetry: WorkerMetrics, set_up: Callable[[], Awaitable[WorkerContext]], host: str, port: int
) -> faust.App:
    """The app of a worker, which calls ``set_up`` once it has started.

    ``/healthz``, ``/readyz`` and ``/metrics`` are served from the start, at ``host`` and ``port``.
    """
    app = _new_app(
        application_id, web_bind=host, web_port=port
    )  # Faust serves nothing there: `serve` reads the address for its error message
    deliver = add_agents(app)

    async def make() -> ConsumerLoop:
        return ConsumerLoop(await set_up(), deliver)

    service = ConsumerLoopService(make)

    async def healthz(_: Request) -> Response:
        why = service.not_healthy
        return PlainTextResponse(f"{why or 'ok'}\n", status_code=503 if why else 200)

    async def readyz(_: Request) -> Response:
        engine = service.engine
        why = engine.not_ready if engine is not None else ["the broker is away"]
        notices = engine.notices if engine is not None else []
        lines = [*(why or ["ready"]), *notices]
        return PlainTextResponse("\n".join(lines) + "\n", status_code=503 if why else 200)

    about_process(telemetry.registry)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(telemetry.registry), media_type="text/plain; version=0.0.4")

    routes = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    for each in (PagesService(Starlette(routes=routes), host, port, telemetry.registry), service):
        app.service(each)  # type: ignore[arg-type]  # as above
    return app


def _new_app(application_id: str, **web: Any) -> App:
    return App(application_id, broker="kafka://", store="memory://", web_enabled=False, web_in_thread=False, **web)
