"""Runs the previews that this console has accepted, a few at a time, each in a child process."""

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection

from monitor.policy.model import Policy
from monitor.policy.serialize import canonical, to_plain
from streams.console import actions
from streams.console.actions import About
from streams.console.identity.users import User
from streams.console.previews import store
from streams.console.previews.process import Launch, PreviewLimits, launch
from streams.console.previews.store import PreviewRequest
from streams.console.previews.task import Done, Failed, PreviewTask, Progress, Source
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.kafka.api import TransientError
from streams.runtime.log_limiter import LogLimiter
from streams.settings.load import Settings

log = structlog.get_logger("callwarden")

T = TypeVar("T")

_BEAT_S: Final = 1.0
_DAY_MS: Final = 86_400_000


@dataclass(slots=True)
class _Job:
    """A preview that was accepted, and the asyncio task that runs it once there is room."""

    task: PreviewTask
    run: "asyncio.Task[None]"
    progress: Progress | None = None


class PreviewRunner:
    """The previews of one console process.

    Their texts and files are in this process alone: a preview that waits or runs when it ends is interrupted. The file
    of an upload has no name, so it is gone then, too.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], int],
        telemetry: ConsoleMetrics,
        launch: Launch = launch,
        replayed: Sequence[Path] = (),
    ) -> None:
        """``clock`` gives epoch ms; ``launch`` starts a child process. ``replayed``: the files of the replay that the
        console shows; without any it shows topics."""
        self._settings, self._database, self._clock, self._telemetry = settings, database, clock, telemetry
        self._launch, self._replayed = launch, tuple(map(str, replayed))
        self._limits = PreviewLimits(settings.console_preview_memory << 20, settings.console_preview_time_ms / 1000)
        self._room = asyncio.Semaphore(settings.console_previews)
        self._jobs: dict[str, _Job] = {}

    @property
    def own_source(self) -> Source:
        """The records that the console itself shows."""
        return "replay" if self._replayed else "topics"

    async def submit(
        self, requested: PreviewRequest, policy: bytes, base: Policy, by: User, file: int | None = None
    ) -> str:
        """Queue a preview of the text ``policy``; returns its id.

        ``file``: the open descriptor of an upload; the preview uses a duplicate.

        Raises PreviewRefused and TransientError.
        """
        preview_id, now_ms = f"cwv-{uuid.uuid4().hex}", self._clock()

        def work(connection: Connection) -> dict[str, bool]:
            store.add(connection, preview_id, requested, (by.subject, by.name), now_ms)
            details = {"step": "started", "preview": preview_id, "source": requested.source, "title": requested.title}
            actions.record(connection, by, "policy_previewed", now_ms, About(details=details))
            return store.upheld(connection)

        upheld = await self._database.run(work)
        task = PreviewTask(
            policy=policy,
            base=canonical(to_plain(base)),
            base_sha256=base.sha256,
            source=requested.source,
            settings=self._settings,
            now_ms=now_ms,
            since_ms=now_ms - requested.days * _DAY_MS if requested.days else None,
            file=None if file is None else os.dup(file),
            paths=self._replayed if requested.source == "replay" else (),
            format=requested.format,
            constants=dict(requested.constants),
            upheld=upheld,
        )
        self._jobs[preview_id] = _Job(task, asyncio.create_task(self._run(preview_id, task)))
        return preview_id

    async def cancel(self, preview_id: str, by: User) -> bool:
        """Cancel it, also if another console runs it; False if it has ended already. Raises TransientError."""
        now_ms = self._clock()

        def work(connection: Connection) -> bool:
            if not store.end(connection, preview_id, "cancelled", now_ms):
                return False
            details = {"step": "cancelled", "preview": preview_id}
            actions.record(connection, by, "policy_previewed", now_ms, About(details=details))
            return True

        cancelled = await self._database.run(work)
        if cancelled:
            self._telemetry.preview("cancelled")
            await self._stop([preview_id])
        return cancelled

    async def run(self) -> None:
        """Renew the previews of this console, and stop those that were cancelled in another one, until cancelled."""
        try:
            while True:
                with suppress(TransientError):  # the pages say so
                    await self.beat()
                await asyncio.sleep(_BEAT_S)
        finally:
            await self._interrupt()

    async def beat(self) -> None:
        """One round of `run`. Raises TransientError, and the unexpected error of a preview."""
        for preview_id, job in list(self._jobs.items()):
            if job.run.done():
                del self._jobs[preview_id]
                if not job.run.cancelled():
                    job.run.result()
        now_ms, running = self._clock(), {preview_id: job.progress for preview_id, job in self._jobs.items()}

        def work(connection: Connection) -> set[str]:
            still = store.renew(connection, running, now_ms)
            store.interrupt_dead(connection, now_ms)
            return still

        still = await self._database.run(work)
        # One that has just ended by itself is not open either; its task is at its end then.
        await self._stop([each for each in running if each not in still and not self._ending(each)])

    def _ending(self, preview_id: str) -> bool:
        job = self._jobs.get(preview_id)
        return job is None or job.run.done()

    async def _run(self, preview_id: str, task: PreviewTask) -> None:
        """Run one preview once there is room, and store how it ended."""
        try:
            async with self._room:
                if not await self._stored(partial(store.start, preview_id=preview_id, now_ms=self._clock())):
                    return
                ended = await self._judged(preview_id, task)
        finally:
            if task.file is not None:
                os.close(task.file)
        if isinstance(ended, Failed):
            log.warning("a preview failed", preview=preview_id, why=ended.why, detail=ended.detail)
        finish = partial(store.finish, preview_id=preview_id, ended=ended, now_ms=self._clock())
        if await self._stored(finish):
            self._telemetry.preview("done" if isinstance(ended, Done) else "failed")

    async def _judged(self, preview_id: str, task: PreviewTask) -> Done | Failed:
        try:
            async with aclosing(self._launch(task, self._limits)) as reports:
                async for report in reports:
                    if not isinstance(report, Progress):
                        return report
                    if job := self._jobs.get(preview_id):
                        job.progress = report
        except OSError as error:
            return Failed("crashed", error.strerror or type(error).__name__)
        return Failed("crashed", "no report")

    async def _stored(self, work: Callable[[Connection], T]) -> T:
        """The result of ``work`` once the database can be reached."""
        limited = LogLimiter()
        while True:
            try:
                return await self._database.run(work)
            except TransientError as error:
                limited.warn("a preview cannot be stored yet", why=str(error))
                await asyncio.sleep(_BEAT_S)

    async def _stop(self, ids: list[str]) -> list[str]:
        """Stop these previews here, with their child processes; returns those that there were."""
        stopped = {each: self._jobs.pop(each) for each in ids if each in self._jobs}
        for job in stopped.values():
            job.run.cancel()
        if stopped:
            await asyncio.wait([job.run for job in stopped.values()])
        return list(stopped)

    async def _interrupt(self) -> None:
        """Stop all previews, as the process ends."""
        ids = [each for each, job in self._jobs.items() if not job.run.done()]
        await self._stop(ids)
        now_ms = self._clock()

        def work(connection: Connection) -> None:
            for preview_id in ids:
                store.end(connection, preview_id, "interrupted", now_ms)

        if ids:
            with suppress(TransientError):  # then their age says so
                await self._database.run(work)
