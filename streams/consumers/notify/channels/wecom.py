"""WeCom's group bot: markdown, with its key in the URL; at most 20 messages a minute, 4,096 bytes each."""

from collections.abc import Sequence
from typing import Final

import aiohttp
import orjson
from pydantic import SecretStr

from streams.consumers.notify.channels.base import Poster
from streams.consumers.notify.channels.chatbot import Codes
from streams.consumers.notify.channels.text import markdown
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.messages.page_links import PageLinks

_MOST_BYTES: Final = 4_096
_CODES: Final = Codes(
    names=("errcode",),
    too_fast=frozenset({45009, 45033}),
    this_message=frozenset({40008, 40058, 44004, 45002}),
    hints={93000: "its address is wrong, or the bot is gone", 93008: "the bot is no longer in its group"},
)


class WeCom:
    """See `Channel`."""

    name, at_once = "wecom", 1

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: SecretStr,
        links: PageLinks,
        per_minute: int,
    ) -> None:
        self._poster = Poster(session, url)
        self._links, self.per_minute = links, per_minute

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        [message] = messages
        body = {"msgtype": "markdown", "markdown": {"content": markdown(message, self._links.of(message), _MOST_BYTES)}}
        return _CODES.taken(self._poster, await self._poster.post(orjson.dumps(body)))
