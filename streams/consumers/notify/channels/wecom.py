"""WeCom's group robot: markdown, its key in the address; at most 20 messages a minute, 4,096 bytes each."""

from collections.abc import Sequence
from typing import Final

import aiohttp
import orjson
from pydantic import SecretStr

from streams.consumers.notify.channels.base import Failed, Poster, robot_answer
from streams.consumers.notify.channels.text import markdown
from streams.consumers.notify.message import Message

_MOST_BYTES: Final = 4_096
_TOO_FAST: Final = frozenset({45009, 45033})
_THIS_MESSAGE: Final = frozenset({40008, 40058, 44004, 45002})
_HINTS: Final = {93000: "its address is wrong, or the robot is gone", 93008: "the robot is not in its group any more"}


class WeCom:
    """See `Channel`."""

    name, at_once = "wecom", 1

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: SecretStr,
        link: str | None,
        per_minute: int,
    ) -> None:
        self._poster = Poster(session, url)
        self._link, self.per_minute = link, per_minute

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        [message] = messages
        body = {"msgtype": "markdown", "markdown": {"content": markdown(message, self._link, _MOST_BYTES)}}
        code, words = robot_answer(self._poster, await self._poster.post(orjson.dumps(body)), "errcode")
        if code == 0:
            return "errcode 0"
        hint = f"; {_HINTS[code]}" if code in _HINTS else ""
        raise Failed(
            f"errcode {code}: {words}{hint}",
            message_alone=code in _THIS_MESSAGE,
            wait_s=60 if code in _TOO_FAST else None,
        )
