"""Writes what the console sends to files, and judges these files again after each review."""

import asyncio
import os
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog
from sqlalchemy import Connection

from monitor.text.private_files import open_private
from streams.console import child_process, outbox
from streams.console.outbox import QueuedRecord
from streams.console.replayed.file_intake import Committed, FileIntake
from streams.console.replayed.judgement import JudgedFiles
from streams.consumers.database import Database
from streams.kafka.api import PermanentError, TransientError
from streams.reviews.signatures import SignedValue

log = structlog.get_logger("callwarden")

_LOOK_S: Final = 1.0
_DECODE: Final = msgspec.msgpack.Decoder(JudgedFiles).decode


class ReplayFiles:
    """The files of a replay. ``out`` gets the decisions of later judgements."""

    def __init__(self, inputs: Sequence[Path], reviews: Path, actions: Path, out: Path) -> None:
        self.inputs, self.reviews, self.actions, self.out = list(inputs), reviews, actions, out

    def prepare(self) -> None:
        """Create the files that the console appends to, empty. Raises OSError."""
        for path in (self.reviews, self.actions):
            open_private(path).close()

    def append(self, rows: Sequence[QueuedRecord]) -> None:
        """Append records to their files, as lines. Raises OSError."""
        for topic, path in (("reviews", self.reviews), ("actions", self.actions)):
            lines = [row.value + b"\n" for row in rows if row.topic == topic]
            if lines:
                with path.open("ab") as file:
                    file.writelines(lines)
                    file.flush()
                    os.fsync(file.fileno())

    async def judge(self) -> JudgedFiles:
        """Judge all files again, in a child process. Raises PermanentError if that fails."""
        files = [self.out, *self.inputs, self.reviews]
        child = await child_process.start(
            "streams.console.replayed.judgement", *map(str, files), stdin=DEVNULL, stderr=PIPE
        )
        try:
            printed, failure = await child.communicate()
        finally:
            if child.returncode is None:
                child_process.kill(child)
                await child.wait()
        if child.returncode != 0:
            why = failure.decode(errors="replace").strip().rpartition("\n")[2]
            raise PermanentError(f"the files cannot be judged again: {why or child.returncode}")
        return _DECODE(printed)


class Rejudging:
    """The sender of a console on files. ``judging``: whether it judges now."""

    def __init__(self, files: ReplayFiles, database: Database, intake: FileIntake, clock: Callable[[], int]) -> None:
        """``clock`` gives epoch ms."""
        self._files, self._database, self._intake, self._clock = files, database, intake, clock
        self._wake = asyncio.Event()
        self._rejected: dict[SignedValue, str] = {}
        self.judging = False

    def wake(self) -> None:
        """Look for records at once."""
        self._wake.set()

    async def begin(self, since_ms: int | None = None) -> None:
        """Part of the search for rejected reviews: all that the last judgement rejected are known."""

    async def read_new(self) -> dict[SignedValue, str]:
        """The rejected reviews."""
        return self._rejected

    async def run(self) -> None:
        """Write what is due and judge, until cancelled. Raises OSError or PermanentError if that is impossible."""
        while True:
            try:
                reviews = await self._write_due()
            except TransientError as error:
                log.warning("records of the console cannot be written yet", why=str(error))
                reviews = 0
            if reviews:
                await self._judge()
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _write_due(self) -> int:
        """Append what is due, and store it; returns the number of reviews. A line is written twice if the commit fails,
        which judges like once."""

        def work(connection: Connection) -> tuple[int, list[Committed]]:
            rows = outbox.unsent(connection, self._clock(), outbox.AT_ONCE)
            self._files.append(rows)
            stored = [self._intake.store_written(connection, row.topic, row.key, row.value) for row in rows]
            return sum(row.topic == "reviews" for row in rows), stored

        reviews, committed = await self._database.run(work)
        for each in committed:
            each()
        return reviews

    async def _judge(self) -> None:
        self.judging = True
        started_s = time.monotonic()
        try:
            judgement = await self._files.judge()
        finally:
            self.judging = False
        took_ms = round(1000 * (time.monotonic() - started_s))
        rejected = {SignedValue(raw, None): why for raw, why in judgement.rejected}
        committed = await self._database.run(partial(self._intake.store, judgement=judgement, took_ms=took_ms))
        committed()
        self._rejected = rejected
