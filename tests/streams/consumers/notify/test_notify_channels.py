"""Each channel against a receiver that checks its messages; no error shows an address, a key or a secret."""

import asyncio
import base64
import hmac
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest
from pydantic import SecretStr
from receivers import CHATS, KINDS, NOW_MS, SECRET, TOKEN, Receiver, channel, hmac_sha256, receiving

from monitor.policy.load import load
from schemas.outputs import Reason
from streams.consumers.notify.channels import Channel, DeliveryFailed, DingTalk, Webhook, WeCom
from streams.consumers.notify.channels import webhook as webhook_module
from streams.consumers.notify.channels.base import TIMEOUT
from streams.consumers.notify.channels.dingtalk import signature as dingtalk_signature
from streams.consumers.notify.channels.feishu import signature as feishu_signature
from streams.consumers.notify.channels.text import markdown, plain
from streams.consumers.notify.messages.message import Message, MessageItem, What
from streams.consumers.notify.messages.page_links import PageLinks
from streams.consumers.notify.outbox import LastingMessage
from streams.consumers.notify.sample_messages import sample_messages, send_samples

SAMPLES = sample_messages(load(None), NOW_MS)


def message(**fields: Any) -> Message:
    said = {"id": "m", "what": "warning", "severity": "warning", "at_ms": 0, "title": Reason("题", "title")}
    return Message(**said | {"tenant_id": "acme", "behaviour": "blind_calling"} | fields)


@pytest.fixture
async def there() -> AsyncIterator[tuple[Receiver, aiohttp.ClientSession]]:
    async with receiving() as both:
        yield both


async def test_each_channel_delivers_one_of_each_kind(there: tuple[Receiver, aiohttp.ClientSession]) -> None:
    receiver, session = there
    channels = [channel(kind, receiver, session, lambda: NOW_MS) for kind in KINDS]
    answers = [answer async for answer in send_samples(channels, load(None), NOW_MS)]
    assert not [answer for answer in answers if not answer.ok]
    of_all = [m for m in SAMPLES if m.others]
    assert {m.what for m in of_all} == {*get_args(What)} - {"lapse"}, "a lapse stands in the summary of the day alone"
    assert len(of_all) <= 20, "as many as a robot takes a minute"
    for kind in KINDS:
        said = [answer.what for answer in answers if answer.channel == kind]
        assert len(said) == len(SAMPLES if kind == "alertmanager" else of_all)
        assert {*said} >= {"alert over", *(m.what for m in of_all)}, kind
    assert len(receiver.taken) == len(answers)


def test_signatures_are_those_of_another_implementation_and_of_the_published_example() -> None:
    assert dingtalk_signature("this is secret", NOW_MS) == hmac_sha256(
        b"this is secret", f"{NOW_MS}\nthis is secret".encode()
    )
    assert feishu_signature("密钥", 1599360473) == hmac_sha256("1599360473\n密钥".encode(), b"")
    # RFC 4231, test case 2, for the test's own implementation.
    mac = hmac.digest(b"Jefe", b"what do ya want for nothing?", "sha256")
    assert mac.hex() == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?") == base64.b64encode(mac).decode()
    # The test vector of Standard Webhooks.
    key = webhook_module.key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = webhook_module.signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("kind", ["dingtalk", "feishu", "webhook"])
async def test_a_wrong_clock_is_refused_and_reported(kind: str, there: tuple[Receiver, aiohttp.ClientSession]) -> None:
    receiver, session = there
    with pytest.raises(DeliveryFailed, match=r"310000.*security setting|19021.*clock is an hour off|401.*not signed"):
        await channel(kind, receiver, session, lambda: NOW_MS + 7_200_000).send([message()], [0])
    assert receiver.taken == []


@pytest.mark.parametrize(
    ("kind", "answer", "alone", "wait_s"),
    [
        ("dingtalk", (200, {"errcode": 130101, "errmsg": "send too fast"}), False, 60),
        ("dingtalk", (200, {"errcode": 400102, "errmsg": "robot stopped"}), False, None),
        ("dingtalk", (200, {"errcode": 460101, "errmsg": "message too long"}), True, None),
        ("feishu", (200, {"code": 11232, "msg": "frequency limited"}), False, 60),
        ("feishu", (400, {"code": 9499, "msg": "Bad Request"}), True, None),
        ("wecom", (200, {"errcode": 45009, "errmsg": "api freq out of limit"}), False, 60),
        ("wecom", (200, {"errcode": 44004, "errmsg": "empty content"}), True, None),
        ("wecom", (200, b"<html>a proxy's page</html>"), False, None),
        ("wecom", (200, b"[" * 60_000), False, None),
        ("wecom", (200, {"errcode": False}), False, None),
        ("wecom", (502, b"bad gateway"), False, None),
        ("webhook", (413, b"too large"), True, None),
        ("webhook", (500, b""), False, None),
        ("webhook", (302, b""), False, None),
        ("alertmanager", (400, b"bad labels"), True, None),
        ("alertmanager", (503, b"starting"), False, None),
    ],
)
async def test_an_answer_other_than_success_is_a_failure(
    kind: str, answer: tuple[int, Any], alone: bool, wait_s: float | None, there: tuple[Receiver, aiohttp.ClientSession]
) -> None:
    receiver, session = there
    receiver.answers = [answer]
    with pytest.raises(DeliveryFailed) as failed:
        await channel(kind, receiver, session, lambda: NOW_MS).send([message()], [0])
    assert (failed.value.message_alone, failed.value.wait_s) == (alone, wait_s)
    assert ("redirect" in str(failed.value)) == (answer[0] == 302)
    assert receiver.taken == []


async def test_a_chunked_answer_is_read_to_its_end() -> None:
    async def piecemeal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        said = b'{"errcode": 0, "errmsg": "ok"}'
        for piece in (
            b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(said),
            *(said[at : at + 1] for at in range(30)),
        ):
            writer.write(piece)
            for _ in range(5):  # the client, in the same loop, has read it
                await asyncio.sleep(0)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(piecemeal, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as session:
        url = SecretStr(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/robot/send?access_token={TOKEN}")
        robot = DingTalk(session, url, None, lambda: NOW_MS, PageLinks(), 10)
        assert await robot.send([message()], [0]) == "errcode 0", "or it would be sent again and again"


async def test_keys_and_numbers_in_a_receivers_answer_are_not_shown(
    there: tuple[Receiver, aiohttp.ClientSession],
) -> None:
    receiver, session = there
    echo = f"no robot {TOKEN} with {SECRET} for 13800138000 at {receiver.url}"
    receiver.answers = [(200, {"errcode": 1, "errmsg": echo}), (500, echo.encode())]
    for kind in ("dingtalk", "webhook"):
        with pytest.raises(DeliveryFailed) as failed:
            await channel(kind, receiver, session, lambda: NOW_MS).send([message()], [0])
        assert not [secret for secret in (SECRET, "13800138000") if secret in str(failed.value)]
    wrong = WeCom(session, SecretStr(f"{receiver.url}/cgi-bin/webhook/send?key=another-secret-key"), PageLinks(), 10)
    with pytest.raises(DeliveryFailed, match=r"errcode 93000: invalid webhook url, key \*\*\*; its address is wrong"):
        await wrong.send([message()], [0])


async def test_no_connection_no_answer_and_no_tls_are_reported_without_the_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setattr("streams.consumers.notify.channels.base.TIMEOUT", aiohttp.ClientTimeout(total=0.2))
        assert await said_of(f"http://127.0.0.1:{port}/hook?key={TOKEN}") == "no answer within 0.2 s"
    monkeypatch.setattr("streams.consumers.notify.channels.base.TIMEOUT", TIMEOUT)
    assert await said_of(f"http://127.0.0.1:{port}/hook?key={TOKEN}") == "no connection: Connection refused"
    assert await said_of(f"http://{TOKEN}.invalid/hook") == "no connection: its name cannot be resolved"

    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"what?\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await said_of(f"http://127.0.0.1:{port}/hook")).startswith("the connection broke")
        assert (await said_of(f"https://127.0.0.1:{port}/hook")).startswith("no secure connection")


async def said_of(url: str) -> str:
    async with aiohttp.ClientSession() as session:
        hook = Webhook(session, SecretStr(url), SecretStr(SECRET), lambda: NOW_MS, PageLinks())
        with pytest.raises(DeliveryFailed) as failed:
            await hook.send([message()], [0])
    said = str(failed.value)
    assert not [secret for secret in (TOKEN, SECRET, "127.0.0.1", "invalid") if secret in said], said
    return said


@pytest.mark.parametrize("text", ["", '"', "\\"], ids=["plain", "quotes", "backslashes"])
async def test_a_message_is_cut_to_what_each_robot_takes(
    there: tuple[Receiver, aiohttp.ClientSession], text: str
) -> None:
    receiver, session = there
    zh, en = f"很长{text * 9}" * 200, f"long {text * 9}" * 200
    long = message(title=Reason("题", "title"), lines=tuple(Reason(zh, en) for _ in range(60)))
    for kind, most in (("wecom", 4096), ("dingtalk", 20_000), ("feishu", 20 * 1024)):
        await channel(kind, receiver, session, lambda: NOW_MS).send([long], [0])
        body = receiver.taken[-1]
        text = body["markdown"]["content"] if kind == "wecom" else str(body.get("markdown") or body)
        # WeCom counts the content; the others count the request, in which JSON escapes some characters.
        assert len(text.encode() if kind == "wecom" else receiver.bodies[-1]) <= most
        assert "很长" in text
        assert "long" in text
        assert text.count("…") == 2


def test_the_keyword_that_a_robot_may_ask_for_is_in_every_message() -> None:
    assert [said.id for said in SAMPLES if "租户" not in markdown(said, None, 4096)] == []


def test_a_records_text_never_acts_as_markup() -> None:
    evil = "<@all> [click](http://evil.example) ![x](http://evil.example/p.png) `code` **bold** <font color=red>"
    text = markdown(message(title=Reason(evil, evil), lines=(Reason(evil, evil),)), None, 4096)
    assert not [mark for mark in ("<@", "](", "![", "`", "<font") if mark in text]
    assert text.count("**") == 2, "the English title's own"


async def test_feishu_gets_plain_text_and_a_colour(there: tuple[Receiver, aiohttp.ClientSession]) -> None:
    receiver, session = there
    for said in (message(severity="critical"), message(severity="critical", standing="off")):
        await channel("feishu", receiver, session, lambda: NOW_MS).send([said], [0])
    assert [body["card"]["header"]["template"] for body in receiver.taken] == ["red", "green"]
    tags = {part["text"]["tag"] for part in receiver.taken[0]["card"]["elements"] if part["tag"] == "div"}
    assert tags == {"plain_text"}


async def test_a_webhook_gets_the_same_id_each_time_and_a_link(there: tuple[Receiver, aiohttp.ClientSession]) -> None:
    receiver, session = there
    hook = channel("webhook", receiver, session, lambda: receiver.now_ms)
    await hook.send([message(id="decision:1", tenant_id="a b/c")], [0])
    receiver.now_ms += 60_000
    await hook.send([message(id="decision:1")], [0])
    await hook.send([message(id="decision:2")], [0])
    ids = [{name.lower(): value for name, value in headers.items()}["webhook-id"] for headers in receiver.headers]
    assert ids[0] == ids[1] != ids[2]
    assert receiver.taken[0]["type"] == "callwarden.notice.v1"
    assert receiver.taken[0]["link"] == "https://own.example/t/a%20b%2Fc"


async def test_the_documented_verifier_accepts_exactly_signed_messages(
    there: tuple[Receiver, aiohttp.ClientSession],
) -> None:
    page = (Path(__file__).parents[4] / "docs" / "guides" / "notify.md").read_text("utf-8")
    shown: dict[str, Any] = {"hmac": hmac, "base64": base64}
    exec(re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0], shown)
    receiver, session = there
    await channel("webhook", receiver, session, lambda: NOW_MS).send([message()], [0])
    headers = {name.lower(): value for name, value in receiver.headers[0].items()}
    verify, key, body, now_s = shown["verify"], SECRET.encode(), receiver.bodies[0], NOW_MS / 1000
    assert verify(key, headers, body, now_s)
    assert not verify(key, headers, body + b" ", now_s)
    assert not verify(b"another", headers, body, now_s)
    assert not verify(key, headers, body, now_s + 301)
    assert not verify(key, headers | {"webhook-id": "another"}, body, now_s)


async def test_alertmanager_receives_bounded_labels_and_end_times(
    there: tuple[Receiver, aiohttp.ClientSession],
) -> None:
    receiver, session = there
    manager: Channel = channel("alertmanager", receiver, session, lambda: NOW_MS)
    on, off = message(what="alert", standing="on"), message(what="alert", standing="off")
    await manager.send([on, message(id="d", tenant_id="x" * 300)], [NOW_MS - 1000, NOW_MS - 1000])
    await manager.send([on, off], [NOW_MS, NOW_MS])
    firing, happened = receiver.taken[0]
    assert firing["labels"] == {
        "alertname": "CallwardenTenant", "tenant": "acme", "behaviour": "blind_calling", "tier": "none",
        "severity": "warning", "kind": "alert", "source": "notify",
    }  # fmt: skip
    assert (firing["startsAt"], firing["endsAt"]) == ("2026-03-01T23:59:59.000Z", "2026-03-02T00:05:00.000Z")
    assert firing["generatorURL"] == "https://own.example/t/acme"
    assert happened["endsAt"] == "2026-03-02T02:00:00.000Z"
    assert len(happened["labels"]["tenant"]) < 140
    # For one alert in one request, the last state counts.
    assert [alert.get("endsAt") for alert in receiver.taken[1]] == ["2026-03-02T00:00:00.000Z"]
    assert isinstance(manager, type(channel("alertmanager", receiver, session, lambda: 0)))
    await manager.remind([LastingMessage(on, NOW_MS - 1000)] * 1)  # type: ignore[attr-defined]
    assert receiver.taken[2] == [firing]


def test_the_label_of_a_tenant_is_at_most_as_long_as_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "guides" / "notify.md").read_text("utf-8")
    [most] = re.findall(r"^\| `tenant` \| the tenant, at most (\d+) characters", page, re.MULTILINE)
    assert max(len(PageLinks().display.tenant(each * 128)) for each in ("x", "\0", "1")) == int(most)


# A tenant's text in a chat -------------------------------------------------------------------------------------------

LIVE = re.compile(
    r"(?i)[a-z][a-z0-9+.-]*://|\b(?:mailto|tel|sms|javascript|data):\S"  # schemes
    r"|[^\s!-/:-@]\.[^\W\d_]"  # host names
    r"|\d\.\d{1,3}\.\d{1,3}\.\d"  # IP addresses
    r"|@|<|\]\(|^\s*[#>]",  # mail, mentions, markup
    re.MULTILINE,
)
HOSTILE = [
    "https://evil.example/login",
    "HTTP://EVIL.EXAMPLE",
    "weixin://dl/business",
    "see www.evil.com now",
    "evil.com/pay?x=1",
    "例子.中国",
    "http://1.2.3.4/x and 1.2.3.4",
    "http://localhost:80/x",
    "mail boss@evil.com",
    "mailto:boss@evil",
    "javascript:alert(1)",
    "tel:110",
    "@all @所有人 <@all> <!channel> <at user_id='all'></at>",
    "[pay](https://evil.example)",
    "![x](http://evil.example/x.png)",
    "first\n# second\r> third\u2028# fourth",
    "\u202egro.live",
    "a．evil．com。cn",
    "pay at http://💩.la",
    "cafe\u0301.com",
    "हिन्दी.com",
]


@pytest.mark.parametrize("kind", CHATS)
@pytest.mark.parametrize("hostile", HOSTILE)
async def test_nothing_of_a_tenants_text_is_live_in_a_chat(kind: str, hostile: str) -> None:
    assert LIVE.search(hostile) or "．" in hostile
    said = Reason(hostile, hostile)
    item = MessageItem("acme", "blind_calling", "warning", said)
    message = Message(id="m", what="ban", severity="critical", at_ms=0, title=said, lines=(said,), items=(item,))
    async with receiving() as (receiver, session):
        await channel(kind, receiver, session, lambda: NOW_MS).send([message], [NOW_MS])
        [body] = receiver.taken
    for text in texts_of(body):
        left = re.sub(r"^(?:### |\*\*)", "", text, flags=re.MULTILINE)  # our own markup
        found = LIVE.search(left)
        assert not found, f"{found} in {left!r}"


def texts_of(body: Any) -> list[str]:
    """All strings of a JSON value except the address of the page that is linked."""
    if isinstance(body, str):
        return [body]
    if isinstance(body, dict):
        return [text for key, value in body.items() if key not in ("generatorURL", "link") for text in texts_of(value)]
    return [text for value in body for text in texts_of(value)] if isinstance(body, list) else []


@pytest.mark.parametrize(
    "text", ["0.25 of 100, above 12.5 %", "2026-03-02 08:00:00", "blind_calling, 10:30", "v1.2", "后续：无", "1.5e"]
)
def test_numbers_and_times_stay_as_they_are(text: str) -> None:
    assert plain(text) == text
