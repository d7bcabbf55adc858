"""The worker's Faust app: the engine as a service, the agents, and pages for machines."""

import asyncio
from typing import Any

import faust
from mode import Service
from prometheus_client import generate_latest

from streams.agents import App, add_agents
from streams.engine import Engine
from streams.owner import Setup


class EngineService(Service):
    """Runs the engine for as long as the app runs; an error that comes out of it crashes the app."""

    def __init__(self, engine: Engine, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.engine = engine
        self._running: asyncio.Task[None] | None = None

    async def on_start(self) -> None:
        """Begin."""
        self._running = asyncio.create_task(self.engine.run(), name="engine")

    @Service.task
    async def _watch(self) -> None:
        assert self._running is not None
        await asyncio.shield(self._running)

    async def on_stop(self) -> None:
        """End: commit what is due, leave the group."""
        self.engine.stop()
        if self._running is not None:
            await asyncio.wait([self._running])


def make_app(setup: Setup, web: tuple[str, int] | None = None) -> tuple[faust.App, Engine]:
    """The app, ready to be started, and its engine. ``web``: host and port of ``/metrics``, ``/readyz``, ``/livez``."""
    host, port = web or ("127.0.0.1", 0)
    app = App(
        setup.application_id,
        broker="kafka://",
        store="memory://",
        web_enabled=web is not None,
        web_bind=host,
        web_port=port or 6066,
        web_in_thread=False,
    )
    engine = Engine(setup, add_agents(app))
    app.service(EngineService(engine))  # type: ignore[arg-type]

    @app.page("/livez")
    async def livez(view: Any, request: Any) -> Any:
        return view.text("ok\n")

    @app.page("/readyz")
    async def readyz(view: Any, request: Any) -> Any:
        if engine.ready:
            return view.text("ready\n")
        lines = [f"partition {number}: {why}" for number, why in engine.standing_still.items()]
        return view.text("\n".join(lines or ["the broker is away"]) + "\n", status=503)

    @app.page("/metrics")
    async def metrics(view: Any, request: Any) -> Any:
        return view.bytes(generate_latest(setup.telemetry.registry), content_type="text/plain; version=0.0.4")

    return app, engine
