"""The pages that messages link, and each channel's form of the link."""

import json
from typing import Any, get_args

import pytest
from receivers import KINDS, NOW_MS, channel, receiving

from monitor.policy.load import load
from monitor.text.display import Display
from schemas.outputs import Reason
from streams.console.pages.path_ids import tenant_path
from streams.consumers.notify.messages.message import Message, MessageItem, What
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.sample_messages import sample_messages

CONSOLE = "https://desk.example"
OWN = "https://own.example/t/{tenant}"
SAMPLES = sample_messages(load(None), NOW_MS)


def message(what: What = "ban", **fields: Any) -> Message:
    said = {"id": "m", "what": what, "severity": "warning", "at_ms": 0, "title": Reason("题", "title")}
    return Message(**said | {"tenant_id": "acme", "refs": ("d-1",)} | fields)


@pytest.mark.parametrize("what", get_args(What))
def test_each_kind_of_message_links_its_page_of_the_console(what: What) -> None:
    links = PageLinks(CONSOLE)
    of_several: dict[What, str] = {"lapse_soon": "/queue", "digest": "/queue", "records_lost": "/health"}
    for each in (m for m in SAMPLES if m.what == what and m.standing != "off"):
        page = links.of(each)
        if what in of_several:
            assert page == CONSOLE + of_several[what]
        elif what == "summary":
            assert page is None
        elif what == "alert":
            assert page == f"{CONSOLE}/tenants/{each.tenant_id}"
        else:
            assert page == f"{CONSOLE}/cases/{each.refs[0]}", "the case page finds a case by any of its ids"
    # About several decisions: each entry has its own case.
    item = MessageItem("acme", "b", "warning", Reason("题", "title"), "d/2")
    assert links.of(message("lapse_soon", tenant_id=""), item) == f"{CONSOLE}/cases/d%2F2"
    assert links.of(message("pending", refs=(), standing="off")) == f"{CONSOLE}/tenants/acme"


@pytest.mark.parametrize("tenant_id", ["a b/c", "..", ".", "x?y#z%2F", "杭州/数据", "a\\b", "é\u2028"])
def test_the_link_of_a_tenant_is_the_address_of_its_page(tenant_id: str) -> None:
    assert PageLinks(CONSOLE).of(message("alert", tenant_id=tenant_id)) == CONSOLE + tenant_path(tenant_id)


def test_an_id_that_is_a_telephone_number_is_in_no_address_of_the_console() -> None:
    number = "+8613800138000"
    links = PageLinks(CONSOLE)
    assert links.of(message("alert", tenant_id=number)) is None
    assert links.of(message("ban", tenant_id=number)) == f"{CONSOLE}/cases/d-1"
    assert PageLinks(CONSOLE, display=Display("none")).of(message("alert", tenant_id=number)) is not None
    assert PageLinks(CONSOLE, display=Display("all_digits")).of(message("alert", tenant_id="12345678")) is None


def test_the_operators_own_page_about_a_tenant_goes_before_the_consoles() -> None:
    both, own = PageLinks(CONSOLE, OWN), PageLinks(None, OWN)
    assert both.of(message("alert")) == own.of(message("alert")) == own.of(message()) == "https://own.example/t/acme"
    assert both.of(message()) == f"{CONSOLE}/cases/d-1"
    assert [PageLinks().of(each) for each in SAMPLES] == [None] * len(SAMPLES)


@pytest.mark.parametrize("kind", KINDS)
async def test_each_channel_sends_the_link_of_the_case(kind: str) -> None:
    async with receiving() as (receiver, session):
        there = channel(kind, receiver, session, lambda: NOW_MS, CONSOLE)
        await there.send([message()], [NOW_MS])
        item = MessageItem("acme", "b", "warning", Reason("题", "title"), "d-2")
        await there.send([message("lapse_soon", tenant_id="", items=(item,))], [NOW_MS])
        bodies = [json.dumps(body) for body in receiver.taken]
    assert f"{CONSOLE}/cases/d-1" in bodies[0]
    assert f"{CONSOLE}{'/cases/d-2' if kind in ('alertmanager', 'webhook') else '/queue'}" in bodies[1]
    if kind == "alertmanager":
        [alert] = json.loads(bodies[0])
        assert alert["annotations"]["link"] == alert["generatorURL"], "mail and chats show annotations"
