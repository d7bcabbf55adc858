"""How a consumer runs: its pages, and how it ends."""

import asyncio
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import recording_consumer
from prometheus_client import CollectorRegistry
from recording_consumer import POSITIONS, store_records

from helpers.fake_topics import FakeTopics
from helpers.patience import PATIENCE_S
from streams.consumers.follower import Follower, FollowerProgress
from streams.consumers.service import FollowedTopics, host, lag_reason, pages_app
from streams.consumers.watermarks import LaggingPartition
from streams.kafka.api import TP, PermanentError
from streams.runtime.monotonic import steady_s


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


async def page(port: int, path: str) -> tuple[int, str]:
    def get() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return await asyncio.to_thread(get)


async def until_served(port: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await page(port, "/healthz")
            except urllib.error.URLError:
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_consumer_that_may_lack_records_of_six_seconds_ago_is_not_ready(in_transaction: bool) -> None:
    tp, now_s = TP("out.enforcement", 1), steady_s()

    class Known:
        def progress(self) -> FollowerProgress:
            return FollowerProgress(0, {tp: 3}, now_s - 1, [LaggingPartition(tp, 17, now_s - 6, in_transaction)])

    said = lag_reason(Known(), stale_s=3600)  # type: ignore[arg-type]
    assert said is not None
    assert ("a transaction of out.enforcement-1 has been open at offset 17" in said) == in_transaction


async def forever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0)
        ended.append("in order")


async def test_the_pages_tell_how_far_a_consumer_is(tmp_path: Path) -> None:
    topics = FakeTopics(ours=1)
    topics.put("ours", 0, *[b"x"] * 5)
    topics.away = True
    database = await recording_consumer.new_database(tmp_path)
    follower = Follower(topics, database, POSITIONS, ["ours"], store_records)
    registry = CollectorRegistry()
    registry.register(FollowedTopics("notebook", follower))
    port = free_port()
    app = pages_app(registry, lambda: lag_reason(follower))
    hosted = asyncio.create_task(
        host([follower.run()], app, ("127.0.0.1", port), "CALLWARDEN_NOTEBOOK_PORT", 20, registry)
    )
    await until_served(port)
    assert await page(port, "/healthz") == (200, "ok\n")
    async with asyncio.timeout(PATIENCE_S):
        while follower.progress().failure is None:
            await asyncio.sleep(0.01)
    status, text = await page(port, "/readyz")
    reason = "has not reached the topics yet: see the log; the last try failed: the broker is away"
    assert (status, text) == (503, f"{reason}\n")
    topics.now_ms = int(time.time() * 1000) - 60_000
    topics.away = False
    async with asyncio.timeout(PATIENCE_S):
        while follower.progress().as_of_ms is None:
            await asyncio.sleep(0.01)
    assert "is 6" in (await page(port, "/readyz"))[1]
    topics.now_ms = int(time.time() * 1000) + 3_600_000
    async with asyncio.timeout(PATIENCE_S):
        while (await page(port, "/readyz"))[0] != 200:
            await asyncio.sleep(0.01)
    metrics = (await page(port, "/metrics"))[1]
    assert 'callwarden_consumer_lag_records{consumer="notebook",partition="0",topic="ours"} 0.0' in metrics
    found = re.search(r'callwarden_consumer_as_of_timestamp_seconds{consumer="notebook"} (.*)', metrics)
    assert found
    assert abs(float(found[1]) - time.time()) < 60  # not the answers' hour ahead: no metadata request since
    hosted.cancel()
    await asyncio.wait([hosted])
    database.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_in_order(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.shutdown._end_within", lambda *_: None)  # this process continues
    former = signal.getsignal(number)
    ended: list[str] = []
    port = free_port()
    app = pages_app(CollectorRegistry(), lambda: None)
    hosted = asyncio.create_task(
        host([forever(ended), forever(ended)], app, ("127.0.0.1", port), "X", 20, CollectorRegistry())
    )
    await until_served(port)
    os.kill(os.getpid(), number)
    async with asyncio.timeout(PATIENCE_S):
        await hosted
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, former if number == signal.SIGINT else signal.default_int_handler)
    assert ended == ["in order"] * 2
    with pytest.raises(urllib.error.URLError):
        await page(port, "/healthz")


async def test_an_error_ends_all_and_comes_out() -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise RuntimeError("a fault")

    app = pages_app(CollectorRegistry(), lambda: None)
    with pytest.raises(RuntimeError, match="a fault"):
        await host([forever(ended), fail()], app, ("127.0.0.1", free_port()), "X", 20, CollectorRegistry())
    assert ended == ["in order"]


async def test_a_port_that_is_taken_is_refused_with_its_setting() -> None:
    app = pages_app(CollectorRegistry(), lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            PermanentError, match=f"127.0.0.1:{port}: .*; expected a free port as CALLWARDEN_BILLING_PORT"
        ):
            await host([forever([])], app, ("127.0.0.1", port), "CALLWARDEN_BILLING_PORT", 20, CollectorRegistry())
