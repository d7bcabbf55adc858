"""Local receivers of the notifier's channels, which check signatures with independent code."""

import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from streams.consumers.notify.channels import Alertmanager, Channel, DingTalk, Feishu, Webhook, WeCom
from streams.consumers.notify.messages.page_links import PageLinks

KINDS = ("alertmanager", "dingtalk", "feishu", "wecom", "webhook")
"""All channels, by the names that `channel` takes."""
CHATS = tuple(kind for kind in KINDS if kind != "webhook")
"""Those whose text a person sees as it is sent."""
SECRET = "SEC-of-the-tests-0123456789"
TOKEN = "token-of-the-tests-abcdef"
NOW_MS = 1_772_409_600_000


def hmac_sha256(key: bytes, message: bytes) -> str:
    """HMAC after RFC 2104, from hashes only; in base64."""
    key = hashlib.sha256(key).digest() if len(key) > 64 else key
    key = key.ljust(64, b"\0")
    inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in key) + message).digest()
    return base64.b64encode(hashlib.sha256(bytes(byte ^ 0x5C for byte in key) + inner).digest()).decode()


@dataclass
class Receiver:
    """All receivers at one address. ``answers`` are given one after another, then ``right``."""

    url: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    now_ms: int = NOW_MS

    async def dingtalk(self, request: web.Request) -> web.Response:
        sent_ms = request.query.get("timestamp", "0")
        signed = hmac_sha256(SECRET.encode(), f"{sent_ms}\n{SECRET}".encode())
        if abs(int(sent_ms) - self.now_ms) > 3_600_000:
            return web.json_response({"errcode": 310000, "errmsg": "invalid timestamp"})
        if request.query.get("access_token") != TOKEN or request.query.get("sign") != signed:
            return web.json_response({"errcode": 310000, "errmsg": "sign not match"})
        return await self._answer(request, {"errcode": 0, "errmsg": "ok"})

    async def feishu(self, request: web.Request) -> web.Response:
        body = await request.json()
        signed = hmac_sha256(f"{body['timestamp']}\n{SECRET}".encode(), b"")
        if abs(int(body["timestamp"]) * 1000 - self.now_ms) > 3_600_000 or body["sign"] != signed:
            return web.json_response({"code": 19021, "msg": "sign match fail or timestamp is not within one hour"})
        return await self._answer(request, {"code": 0, "msg": "success", "StatusCode": 0, "data": {}})

    async def wecom(self, request: web.Request) -> web.Response:
        body = await request.json()
        if request.query.get("key") != TOKEN:
            return web.json_response({"errcode": 93000, "errmsg": f"invalid webhook url, key {request.query['key']}"})
        if len(body["markdown"]["content"].encode()) > 4096:
            return web.json_response({"errcode": 40058, "errmsg": "markdown.content exceed max length 4096"})
        return await self._answer(request, {"errcode": 0, "errmsg": "ok"})

    async def webhook(self, request: web.Request) -> web.Response:
        id_, sent_s = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        signed = hmac_sha256(SECRET.encode(), f"{id_}.{sent_s}.".encode() + await request.read())
        if abs(int(sent_s) * 1000 - self.now_ms) > 300_000 or request.headers["webhook-signature"] != f"v1,{signed}":
            return web.json_response({"why": "not signed by the secret that we know"}, status=401)
        return await self._answer(request, {})

    async def alertmanager(self, request: web.Request) -> web.Response:
        return await self._answer(request, {})

    async def _answer(self, request: web.Request, right: Any) -> web.Response:
        status, said = self.answers.pop(0) if self.answers else (200, right)
        if status == 200 and said == right:
            self.bodies.append(await request.read())
            self.taken.append(json.loads(self.bodies[-1]))
            self.headers.append(dict(request.headers))
        if isinstance(said, bytes):
            return web.Response(body=said, status=status)
        return web.json_response(said, status=status)


@asynccontextmanager
async def receiving() -> AsyncIterator[tuple[Receiver, aiohttp.ClientSession]]:
    """The running receivers, and a client."""
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/robot/send", receiver.dingtalk)
    app.router.add_post("/open-apis/bot/v2/hook/" + TOKEN, receiver.feishu)
    app.router.add_post("/cgi-bin/webhook/send", receiver.wecom)
    app.router.add_post("/hook", receiver.webhook)
    app.router.add_post("/am/api/v2/alerts", receiver.alertmanager)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with aiohttp.ClientSession() as session:
            yield receiver, session
    finally:
        await runner.cleanup()


def channel(
    kind: str,
    receiver: Receiver,
    session: aiohttp.ClientSession,
    clock: Callable[[], int],
    console: str | None = None,
) -> Channel:
    """The channel of that kind, addressed to these receivers."""
    secret, link = SecretStr(SECRET), PageLinks(console, "https://own.example/t/{tenant}")
    if kind == "dingtalk":
        return DingTalk(session, SecretStr(f"{receiver.url}/robot/send?access_token={TOKEN}"), secret, clock, link, 10)
    if kind == "feishu":
        return Feishu(session, SecretStr(f"{receiver.url}/open-apis/bot/v2/hook/{TOKEN}"), secret, clock, link, 10)
    if kind == "wecom":
        return WeCom(session, SecretStr(f"{receiver.url}/cgi-bin/webhook/send?key={TOKEN}"), link, 10)
    if kind == "webhook":
        return Webhook(session, SecretStr(f"{receiver.url}/hook"), secret, clock, link)
    return Alertmanager(session, "alertmanager", SecretStr(f"{receiver.url}/am"), clock, link)
