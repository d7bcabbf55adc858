"""Previews in the database and in one console process, whose child processes are replaced by what a test says."""

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from helpers.console_identity import Clock, recorded
from helpers.patience import PATIENCE_S
from monitor.policy.load import load as load_policy
from streams.console.identity.users import Role, User
from streams.console.previews import store
from streams.console.previews.process import PreviewLimits
from streams.console.previews.result import ComparedPolicy, PreviewResult, RecordCounts
from streams.console.previews.runner import PreviewRunner
from streams.console.previews.store import DEAD_MS, Preview, PreviewRefused, PreviewRequest
from streams.console.previews.task import Done, Failed, PreviewTask, Progress, Report
from streams.console.telemetry import ConsoleMetrics
from streams.consumers.database import Database
from streams.settings.load import load

ADA, BEN = (User(f"local:{name}", name, frozenset({Role.POLICY_OWNER})) for name in ("ada", "ben"))
ASKED = PreviewRequest(source="topics", days=7, title="house.yaml", base=("access-rules 1", "0" * 64))
RESULT = PreviewResult(
    before=ComparedPolicy("a", "1", "a" * 64),
    after=ComparedPolicy("b", "1", "b" * 64),
    records=RecordCounts(1, 1, 0, 0, 0, 1, None),
    tiers=[],
    changed=[],
    changed_total=0,
    new_total=0,
    gone_total=0,
    rules=[],
    scores=[],
)


class Children:
    """Child processes that report what the test puts in; ``open`` are those that run."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[Report] = asyncio.Queue()
        self.tasks: list[PreviewTask] = []
        self.open = 0

    async def launch(self, task: PreviewTask, limits: PreviewLimits) -> AsyncGenerator[Report, None]:
        self.tasks.append(task)
        self.open += 1
        try:
            while True:
                yield await self.reports.get()
        finally:
            self.open -= 1


@pytest.fixture
def children() -> Children:
    return Children()


@pytest.fixture
def runner(database: Database, clock: Clock, children: Children) -> PreviewRunner:
    return PreviewRunner(load({}), database, clock, ConsoleMetrics(), children.launch)


async def submit(runner: PreviewRunner, by: User = ADA, **changes: Any) -> str:
    return await runner.submit(ASKED, b"id: b", load_policy(None), by, **changes)


def at(database: Database, preview_id: str, clock: Clock) -> Preview:
    with database.reading() as connection:
        found = store.preview_of(connection, preview_id, clock())
    assert found is not None
    return found


async def until(state: str, database: Database, preview_id: str, clock: Clock) -> Preview:
    async with asyncio.timeout(PATIENCE_S):
        while (one := at(database, preview_id, clock)).state != state:
            await asyncio.sleep(0.005)
    return one


async def until_launched(children: Children) -> None:
    """Wait for the first child, which is launched once its preview is stored as running."""
    async with asyncio.timeout(PATIENCE_S):
        while not children.tasks:
            await asyncio.sleep(0.005)


async def test_a_preview_reports_its_progress_and_keeps_its_result(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    preview_id = await submit(runner)
    await until("running", database, preview_id, clock)
    children.reports.put_nowait(Progress("before", 5, 10))
    while not children.reports.empty():
        await asyncio.sleep(0)
    await runner.beat()
    one = at(database, preview_id, clock)
    assert (one.step, one.read, one.total, one.subject, one.title) == ("before", 5, 10, "local:ada", "house.yaml")
    children.reports.put_nowait(Done(RESULT))
    assert (await until("done", database, preview_id, clock)).policy_sha256 == "b" * 64
    with database.reading() as connection:
        assert store.result_of(connection, preview_id) == RESULT
        assert store.done_with(connection, "b" * 64) == preview_id
        assert store.done_with(connection, "a" * 64) is None
    assert [(each["action"], each["details"]["step"]) for each in recorded(database)] == [
        ("policy_previewed", "started")
    ]
    await runner.beat()
    assert children.open == 0


async def test_only_one_at_a_time_for_each_user_and_for_the_console(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    first, second = await submit(runner), await submit(runner, BEN)
    with pytest.raises(PreviewRefused, match="one_at_a_time"):
        await submit(runner)
    await until("running", database, first, clock)
    await until_launched(children)
    assert at(database, second, clock).state == "queued"
    assert children.open == 1
    children.reports.put_nowait(Failed("memory"))
    assert (await until("failed", database, first, clock)).why == "memory"
    await until("running", database, second, clock)
    assert await submit(runner)


async def test_the_queue_is_short(runner: PreviewRunner) -> None:
    users = [User(f"local:{n}", str(n), frozenset({Role.POLICY_OWNER})) for n in range(9)]
    for user in users[:8]:
        await submit(runner, user)
    with pytest.raises(PreviewRefused, match="queue_full"):
        await submit(runner, users[8])


async def test_a_cancelled_preview_ends_its_child_and_stays_cancelled(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    waits, runs = await submit(runner), await submit(runner, BEN)
    await until("running", database, waits, clock)
    await until_launched(children)
    assert await runner.cancel(runs, ADA)  # it waits: nothing was started
    assert await runner.cancel(waits, BEN)
    assert children.open == 0
    assert not await runner.cancel(waits, BEN)
    assert [at(database, each, clock).state for each in (waits, runs)] == ["cancelled", "cancelled"]
    assert len(children.tasks) == 1
    assert [each["details"]["step"] for each in recorded(database)].count("cancelled") == 2


async def test_another_console_cancels_it(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    other = PreviewRunner(load({}), database, clock, ConsoleMetrics(), children.launch)
    preview_id = await submit(runner)
    await until("running", database, preview_id, clock)
    await until_launched(children)
    assert await other.cancel(preview_id, BEN)
    assert children.open == 1
    await runner.beat()
    assert children.open == 0


async def test_a_console_that_ends_interrupts_its_previews(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    preview_id, other = await submit(runner), await submit(runner, BEN)
    running = asyncio.create_task(runner.run())
    await until("running", database, preview_id, clock)
    await asyncio.sleep(0)  # it has begun
    running.cancel()
    await asyncio.wait([running])
    assert children.open == 0
    assert [at(database, each, clock).state for each in (preview_id, other)] == ["interrupted", "interrupted"]


async def test_what_a_killed_console_left_is_interrupted(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    preview_id = await submit(runner)
    await until("running", database, preview_id, clock)
    clock.pass_s(DEAD_MS / 1000 - 1)
    assert at(database, preview_id, clock).state == "running"
    clock.pass_s(1)
    # Pages say so before anything has marked it.
    assert at(database, preview_id, clock).state == "interrupted"
    other = PreviewRunner(load({}), database, clock, ConsoleMetrics(), children.launch)
    await other.beat()
    clock.now_ms = 0
    assert at(database, preview_id, clock).state == "interrupted"
    assert await submit(runner)  # its owner may start another one


async def test_an_upload_is_kept_open_until_its_preview_ends_and_has_no_name(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children, tmp_path: Path
) -> None:
    folder = tmp_path / "uploads"
    folder.mkdir()
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"record")
        file.flush()
        preview_id = await submit(runner, file=file.fileno())
    await until("running", database, preview_id, clock)
    await until_launched(children)
    kept = children.tasks[0].file
    assert kept is not None
    assert os.pread(kept, 10, 0) == b"record"
    assert list(folder.iterdir()) == []
    uploaded = os.fstat(kept)
    children.reports.put_nowait(Failed("time"))
    await until("failed", database, preview_id, clock)
    try:
        reused = os.fstat(kept)
    except OSError:
        return
    # A thread of the database may have opened a file under the same number since.
    assert not os.path.samestat(reused, uploaded)


async def test_a_defect_ends_the_console(runner: PreviewRunner, children: Children, database: Database) -> None:
    def broken(task: PreviewTask, limits: PreviewLimits) -> AsyncGenerator[Report, None]:
        raise ZeroDivisionError

    runner._launch = broken
    await submit(runner)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(runner.run(), PATIENCE_S)


async def test_old_previews_are_forgotten(
    runner: PreviewRunner, database: Database, clock: Clock, children: Children
) -> None:
    old = await submit(runner)
    children.reports.put_nowait(Done(RESULT))
    await until("done", database, old, clock)
    clock.pass_s(store.KEPT_MS / 1000 + 1)
    await submit(runner, BEN)
    with database.reading() as connection:
        assert [one.name for one in store.newest(connection, clock(), 10)] == ["ben"]
