"""The terminal's receiver of the notifier's webhook shows signed messages once, and no others."""

import aiohttp
import pytest
from pydantic import SecretStr

from schemas.outputs import Reason
from streams.consumers.notify.channels.base import DeliveryFailed
from streams.consumers.notify.channels.webhook import Webhook
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.webhook_receiver import address, listening
from streams.dev.kafka_node import free_ports

MESSAGE = Message(id="m", what="ban", severity="critical", at_ms=5, title=Reason("封号", "Ban"), tenant_id="t")


async def test_a_signed_message_is_received_once() -> None:
    heard: list[Message] = []
    [port] = free_ports(1)
    async with listening(port, "a secret of ours", heard.append), aiohttp.ClientSession() as session:
        ours = Webhook(session, SecretStr(address(port)), SecretStr("a secret of ours"), lambda: 7_000, PageLinks())
        assert [await ours.send([MESSAGE], [0]) for _ in range(2)] == ["204", "204"]
    assert heard == [MESSAGE]


async def test_a_message_signed_with_another_secret_is_refused() -> None:
    heard: list[Message] = []
    [port] = free_ports(1)
    async with listening(port, "a secret of ours", heard.append), aiohttp.ClientSession() as session:
        theirs = Webhook(session, SecretStr(address(port)), SecretStr("another one"), lambda: 7_000, PageLinks())
        with pytest.raises(DeliveryFailed, match="401"):
            await theirs.send([MESSAGE], [0])
    assert heard == []
