"""Feishu's custom bot: a card of plain text, signed in the body; at most 100 messages a minute, 20 KB each."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, Final

import orjson

from streams.consumers.notify.channels.chatbot import Codes, SignedBot
from streams.consumers.notify.channels.text import clipped, halves, plain
from streams.consumers.notify.messages.message import Message

_MOST_BYTES: Final = 8_000  # per language
_COLOURS: Final = {"critical": "red", "warning": "orange", "info": "blue"}
_CODES: Final = Codes(
    names=("code", "StatusCode"),
    too_fast=frozenset({11232, 99991400}),
    this_message=frozenset({9499, 11246, 230025}),
    hints={
        19001: "its address is wrong",
        19021: "the signature does not match, or this machine's clock is an hour off",
        19022: "this machine's address is not allowed",
        19024: "its keyword is missing",
    },
)


class Feishu(SignedBot):
    """See `Channel`."""

    name, at_once = "feishu", 1

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        [message] = messages
        body: dict[str, Any] = {"msg_type": "interactive", "card": self._card(message)}
        if self._secret is not None:
            now_s = self._clock() // 1000
            body |= {"timestamp": str(now_s), "sign": signature(self._secret.get_secret_value(), now_s)}
        return _CODES.taken(self._poster, await self._poster.post(orjson.dumps(body)))

    def _card(self, message: Message) -> dict[str, Any]:
        zh, en = halves(message)
        parts = [_text(clipped(zh, _MOST_BYTES)), {"tag": "hr"}]
        parts.append(_text(clipped([plain(message.title.en), *en], _MOST_BYTES)))
        if (page := self._links.of(message)) is not None:
            text = {"tag": "plain_text", "content": "详情 Details"}
            parts.append({"tag": "action", "actions": [{"tag": "button", "text": text, "url": page}]})
        colour = "green" if message.standing == "off" else _COLOURS[message.severity]
        title = {"tag": "plain_text", "content": plain(message.title.zh)}
        return {"config": {"wide_screen_mode": True}, "header": {"title": title, "template": colour}, "elements": parts}


def signature(secret: str, timestamp_s: int) -> str:
    """HMAC-SHA256 of an empty text, keyed with time and secret, in base64."""
    return base64.b64encode(hmac.digest(f"{timestamp_s}\n{secret}".encode(), b"", hashlib.sha256)).decode()


def _text(content: str) -> dict[str, Any]:
    return {"tag": "div", "text": {"tag": "plain_text", "content": content}}
