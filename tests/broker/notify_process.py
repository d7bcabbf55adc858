"""`callwarden notify` as a process, and a receiver of its webhook that counts messages."""

import asyncio
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from deadlines import deadline
from worker_processes import MAIN

from helpers.patience import PATIENCE_S
from schemas.outputs import Alert, Enforcement, EnforcementData, Evidence, Kind, Measure, PolicyRef, Reason
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess


def warning(id_: str, tenant: str, at_ms: int) -> Enforcement:
    """A final warning."""
    return decision(id_, tenant, at_ms, "warning")


def decision(id_: str, tenant: str, at_ms: int, kind: Kind) -> Enforcement:
    """A final decision."""
    data = EnforcementData(
        tenant_id=tenant, kind=kind, status="final", behaviour="blind_calling", clause=6, tier="minor",
        actions=("warn", "record_violation"), proposed_actions=(), refunds="unaffected", rule_id="short-calls",
        policy=PolicyRef("p", "1", ""), decided_ms=at_ms, review_by_ms=None, window=None, measure=None,
        evidence=Evidence(), violations_on_record=1, reverses=None, supersedes=None, reason=Reason("原因", "reason"),
    )  # fmt: skip
    return Enforcement(id=id_, subject=tenant, time="", data=data)


def alert(id_: str, tenant: str, state: str, at_ms: int) -> Alert:
    """An alert of an enforcing rule."""
    measure = Measure("short_call_ratio", 60, 100, 0.6, 0.25, None)
    reason = Reason("原因", "reason")
    return Alert(id_, tenant, "short-calls", "warning", state, measure, at_ms, at_ms, None, reason)  # type: ignore[arg-type]


class Receiver:
    """Counts the messages it accepted by their subject: an event, or the start or end of an alert.

    ``down``: it answers 503. ``refusing``: 400, as if it rejected this message. ``breaks``: 500 to a message about one
    of these ids, at the times ``broke_s``. ``robot_s`` are the times of the messages to its chat robot. ``reached`` is
    set when a message has arrived; while ``holding`` is set, no message is answered.
    """

    def __init__(self) -> None:
        self.url = ""
        self.taken: Counter[str] = Counter()
        self.down = self.refusing = False
        self.reached, self.holding = asyncio.Event(), False
        self.breaks: set[str] = set()
        self.broke_s: defaultdict[str, list[float]] = defaultdict(list)
        self.robot_s: list[float] = []

    async def robot(self, request: web.Request) -> web.Response:
        await request.read()
        self.robot_s.append(time.monotonic())
        return web.json_response({"errcode": 0})

    async def take(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        if self.down:
            self.reached.set()
            return web.Response(status=503)
        if self.refusing:
            return web.Response(status=400, text="no such template")
        if broken := self.breaks.intersection(body["refs"]):
            for ref in broken:
                self.broke_s[ref].append(time.monotonic())
            return web.Response(status=500)
        over = " over" if body["standing"] == "off" else ""
        self.taken.update(f"{ref}{over}" for ref in body["refs"])
        self.reached.set()
        while self.holding:
            await asyncio.sleep(0.01)
        return web.Response()


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A running receiver."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/", receiver.take)
    app.router.add_post("/robot", receiver.robot)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    try:
        yield receiver
    finally:
        receiver.holding = False
        await runner.cleanup()


class Notifier:
    """The process, which tests start and kill repeatedly. ``main`` is the code that its interpreter runs."""

    def __init__(self, log: Path, environment: Mapping[str, str], main: str = MAIN) -> None:
        self._log, self._port, self._main = log, free_ports(1)[0], main
        mine = {"CALLWARDEN_NOTIFY_PORT": str(self._port), "NO_PROXY": "127.0.0.1"}
        self._environment = {**os.environ, **environment, **mine}
        self._child: ChildProcess | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as output:
            self._child = ChildProcess(
                [sys.executable, "-c", self._main, "notify", "--json-logs"], output, self._environment
            )

    @property
    def target(self) -> str:
        """The address of its pages: HOST:PORT."""
        return f"127.0.0.1:{self._port}"

    def kill(self) -> None:
        """kill -9, if it is running."""
        if self._child is not None:
            self._child.kill()

    def terminate(self) -> int:
        """Send TERM; return its exit status."""
        assert self._child is not None
        return self._child.stop(PATIENCE_S)

    async def ready(self) -> None:
        """Wait until it is ready."""
        async with deadline(f"the notifier is ready: {self._log.read_text('utf-8')[-1000:]}"):
            while (await self.get("/readyz"))[0] != 200:
                assert self._child is not None
                assert self._child.running, self._log.read_text("utf-8")[-2000:]
                await asyncio.sleep(0.1)

    async def get(self, page: str) -> tuple[int, str]:
        """Status and content of a page; 0 when nothing answers."""
        from urllib.error import HTTPError
        from urllib.request import urlopen

        def ask() -> tuple[int, str]:
            try:
                with urlopen(f"http://{self.target}{page}", timeout=5) as answer:
                    return answer.status, answer.read().decode()
            except HTTPError as error:
                with error:
                    return error.code, error.read().decode()
            except OSError:
                return 0, ""

        return await asyncio.to_thread(ask)

    def said(self) -> str:
        """Its whole log."""
        return self._log.read_text("utf-8")
