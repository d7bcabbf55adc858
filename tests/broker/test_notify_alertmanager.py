"""The notifier with a real Alertmanager: grouping, silences, and which alerts are active or resolved."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from deadlines import deadline
from pydantic import SecretStr

from alerting.programs import alertmanager, amtool
from helpers.patience import PATIENCE_S
from monitor.policy.load import load
from schemas.outputs import Reason
from streams.consumers.notify.channels import Alertmanager
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.outbox import LastingMessage
from streams.consumers.notify.sample_messages import sample_messages
from streams.runtime.wall_clock import epoch_ms

pytestmark = pytest.mark.services

CONFIG = """
route:
  receiver: ops
  group_by: [tenant]
  group_wait: 200ms
  group_interval: 500ms
  repeat_interval: 1h
receivers:
- name: ops
  webhook_configs:
  - {url: "URL", send_resolved: true}
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Alertmanager on a busy machine answers after more than the product's ten seconds."""
    monkeypatch.setattr("streams.consumers.notify.channels.base.TIMEOUT", aiohttp.ClientTimeout(total=PATIENCE_S))


@asynccontextmanager
async def ops() -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver behind Alertmanager: its address, and the groups that it received."""
    received: list[dict[str, Any]] = []

    async def take(request: web.Request) -> web.Response:
        received.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", received
    finally:
        await runner.cleanup()


def message(tenant: str, **fields: Any) -> Message:
    said: dict[str, Any] = {"id": "m", "what": "alert", "severity": "warning", "at_ms": 0}
    said["title"] = Reason("预警", "Alert")
    lines = (Reason("原因", "the reason"),)
    return Message(
        **said | {"tenant_id": tenant, "behaviour": "blind_calling", "tier": "minor", "lines": lines} | fields
    )


async def until(holds: Callable[[], object], what: str) -> None:
    async with deadline(what):
        while not holds():
            await asyncio.sleep(0.05)


def states(received: list[dict[str, Any]], tenant: str) -> list[tuple[str, str]]:
    """The kind and state of each alert in the tenant's groups, as received."""
    groups = [group for group in received if group["groupLabels"].get("tenant") == tenant]
    return [(alert["labels"]["kind"], alert["status"]) for group in groups for alert in group["alerts"]]


@asynccontextmanager
async def telling(
    folder: Path,
) -> AsyncIterator[tuple[Alertmanager, str, list[dict[str, Any]]]]:
    """The channel, its Alertmanager, and the groups that the receiver got."""
    async with ops() as (url, received), aiohttp.ClientSession() as session:
        config = folder / "alertmanager.yml"
        config.write_text(CONFIG.replace("URL", url), "utf-8")
        with alertmanager(config, folder) as address:
            yield (
                Alertmanager(session, "alertmanager", SecretStr(f"http://{address}"), epoch_ms, PageLinks()),
                address,
                received,
            )


async def test_alerts_are_grouped_by_tenant_and_resolved(
    tmp_path: Path,
) -> None:
    async with telling(tmp_path) as (channel, server, received):
        on = [
            message("acme", standing="on"),
            message("acme", what="pending", standing="on", behaviour="repeat_violation"),
        ]
        other = message("other", what="ban", severity="critical")
        await channel.send([*on, other], [epoch_ms()] * 3)
        both = {("alert", "firing"), ("pending", "firing")}  # a slow Alertmanager tells of the first one alone before
        await until(lambda: set(states(received, "acme")) == both and states(received, "other"), "both tenants' groups")
        assert "description_zh" in received[0]["alerts"][0]["annotations"]
        assert "CallwardenTenant" in amtool(server, "alert", "query", "tenant=acme", "kind=alert")
        await channel.send([message("acme", standing="off")], [epoch_ms()])
        await until(lambda: ("alert", "resolved") in states(received, "acme"), "the alert resolved")
        assert amtool(server, "alert", "query", "tenant=acme", "kind=alert").count("CallwardenTenant") == 0
        assert "CallwardenTenant" in amtool(server, "alert", "query", "tenant=acme", "kind=pending")


async def test_a_silence_quiets_one_tenant(tmp_path: Path) -> None:
    async with telling(tmp_path) as (channel, server, received):
        amtool(server, "silence", "add", "tenant=acme", "--comment=known", "--author=ops", "--duration=1h")
        await channel.send([message("acme", standing="on"), message("other", standing="on")], [epoch_ms()] * 2)
        await until(lambda: states(received, "other"), "the other tenant's alert")
        suppressed = amtool(server, "alert", "query", "--silenced", "tenant=acme")
        assert "CallwardenTenant" in suppressed
        assert states(received, "acme") == []


async def test_an_alert_stays_active_while_it_is_repeated_and_ends_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.consumers.notify.channels.alertmanager._AHEAD_MS", 3_000)
    async with telling(tmp_path) as (channel, _, received):
        on, began_s, gaps_s = message("acme", standing="on"), time.monotonic(), list[float]()
        await channel.send([on], [epoch_ms()])
        reminded_s = began_s
        while time.monotonic() - began_s < 6 or not states(received, "acme"):
            next_s = time.monotonic()
            await channel.remind([LastingMessage(on, epoch_ms())])
            gaps_s.append(time.monotonic() - reminded_s)  # from when one is made until the next has arrived
            reminded_s = next_s
            await asyncio.sleep(0.3)
        # Only a machine that stands still for most of these three seconds may let it end.
        assert ("alert", "resolved") not in states(received, "acme") or max(gaps_s) > 2
        await until(lambda: ("alert", "resolved") in states(received, "acme"), "its end")


async def test_a_message_of_each_kind_is_accepted(tmp_path: Path) -> None:
    async with telling(tmp_path) as (channel, server, _):
        messages = sample_messages(load(None), epoch_ms())
        said = await channel.send(messages, [epoch_ms()] * len(messages))
        assert said == "200"
        listed = amtool(server, "alert", "query", "-o", "json", "source=notify")
        for kind in ("lapse_soon", "escalation_unsupported", "summary", "reversal"):
            assert f'"kind":"{kind}"' in listed
