"""The state of other programs: read from their own pages, bounded, and each with why it is not known."""

import asyncio
from dataclasses import replace
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from helpers.console_harness import console_at
from helpers.console_pages import pages_of
from streams.console import program_pages as module
from streams.console.identity.users import Role
from streams.console.program_pages import ProgramPage, Programs, ProgramState, program_pages, read_metrics
from streams.metrics.factory import counter, gauges

METRICS = """
callwarden_notify_waiting_messages{channel="wecom"} 3
callwarden_notify_oldest_waiting_seconds{channel="wecom"} 90.5
callwarden_notify_set_aside_messages{channel="wecom"} 1
callwarden_notify_given_up_total{channel="wecom"} 2
callwarden_ledger_entries{topic="e",partition="0"} 40
callwarden_ledger_entries{topic="e",partition="1"} 2
callwarden_ledger_heads_published_timestamp_seconds 1.7724096e+09
callwarden_ledger_verified_timestamp_seconds 1.7724097e+09
callwarden_ledger_verified_entries{topic="e",partition="0"} 39
callwarden_ledger_verified_entries{topic="e",partition="1"} 2
callwarden_ledger_verified_differences 3
callwarden_watermark_timestamp_seconds{partition="0"} 1.7724096e+09
callwarden_watermark_timestamp_seconds{partition="1"} NaN
python_info 1
"""


def test_metrics_become_a_state() -> None:
    state = ProgramState(ProgramPage("notify", ""))
    read_metrics(state, METRICS)
    assert state.channels == {"wecom": module.ChannelState(3, 90.5, 1, 2)}
    assert (state.entries, state.published_ms, state.watermarks) == (42, 1_772_409_600_000, {0: 1_772_409_600_000})
    assert (state.verified, state.differences, state.verified_ms) == (41, 3, 1_772_409_700_000)


def test_the_names_are_those_of_the_catalogue() -> None:
    registry = CollectorRegistry()
    counter("callwarden_notify_given_up_total", registry).labels("wecom").inc()
    for name in (
        "callwarden_notify_waiting_messages", "callwarden_notify_oldest_waiting_seconds", "callwarden_ledger_entries",
        "callwarden_notify_set_aside_messages", "callwarden_ledger_heads_published_timestamp_seconds",
        "callwarden_watermark_timestamp_seconds", "callwarden_ledger_verified_timestamp_seconds",
        "callwarden_ledger_verified_entries", "callwarden_ledger_verified_differences",
    ):  # fmt: skip
        assert gauges(name).name == name
    state = ProgramState(ProgramPage("notify", ""))
    read_metrics(state, generate_latest(registry).decode())
    assert state.channels["wecom"].given_up == 1


async def test_programs_that_are_ready_are_not_and_cannot_be_reached(tmp_path: Path) -> None:
    async def readyz(request: web.Request) -> web.Response:
        return web.Response(status=503, text="behind: callwarden.enforcement-1 <b>")

    asked = []

    async def metrics(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(text=METRICS)

    app = web.Application()
    app.add_routes([web.get("/readyz", readyz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        setting = f"notify={address}, ledger=http://127.0.0.1:1"
        async with console_at(tmp_path) as console:
            settings = console.settings.model_copy(update={"console_programs": setting})
            console.context = replace(console.context, settings=settings)
            async with pages_of(console, Role.VIEWER) as client:
                assert 'hx-get="/health/programs"' in (await client.get("/health")).text
                page = (await client.get("/health/programs")).text
        for text in (
            "not ready", "behind: callwarden.enforcement-1 &lt;b&gt;", "3 waiting, 1 set aside, 2 given up",
            "the oldest for", "cannot be reached", "ClientConnectorError",
        ):  # fmt: skip
            assert text in page
        programs = Programs(program_pages(setting))
        await asyncio.gather(*(programs.states() for _ in range(20)))
        assert len(asked) == 2, "one for the page, one for twenty readers at once"
    finally:
        await runner.cleanup()


async def test_without_the_setting_the_page_says_how_to_see_them(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console, pages_of(console, Role.VIEWER) as client:
        assert "CALLWARDEN_CONSOLE_PROGRAMS" in (await client.get("/health")).text
