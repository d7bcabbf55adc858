"""DingTalk's custom bot: markdown, signed in the URL; at most 20 messages a minute, 20,000 bytes each."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

import orjson

from streams.consumers.notify.channels.chatbot import Codes, SignedBot
from streams.consumers.notify.channels.text import markdown, plain
from streams.consumers.notify.messages.message import Message

_MOST_BYTES: Final = 18_000
_CODES: Final = Codes(
    names=("errcode",),
    too_fast=frozenset({130101, 130102, 660026}),
    this_message=frozenset({40035, 400105, 430101, 430102, 430103, 430104, 460101}),
    hints={
        310000: "its security setting refuses it (signature, keyword, or address of this machine)",
        300001: "its access token is wrong",
        400013: "its group is gone",
        400101: "its access token is wrong",
        400102: "the bot is switched off",
        400106: "the bot is gone",
    },
)


class DingTalk(SignedBot):
    """See `Channel`."""

    name, at_once = "dingtalk", 1

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        [message] = messages
        text = markdown(message, self._links.of(message), _MOST_BYTES)
        body = {"msgtype": "markdown", "markdown": {"title": plain(message.title.zh), "text": text}}
        query = ""
        if self._secret is not None:
            now_ms = self._clock()
            query = urlencode({"timestamp": now_ms, "sign": signature(self._secret.get_secret_value(), now_ms)})
        return _CODES.taken(self._poster, await self._poster.post(orjson.dumps(body), query))


def signature(secret: str, timestamp_ms: int) -> str:
    """HMAC-SHA256 of time and secret, keyed with the secret, in base64."""
    signed = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.digest(secret.encode(), signed, hashlib.sha256)).decode()
