"""What bots have in common: the answer, always status 200 with a code for the outcome; and an optional signature."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import SecretStr

from streams.consumers.notify.channels.base import DeliveryFailed, Poster
from streams.consumers.notify.messages.page_links import PageLinks


@dataclass(frozen=True, slots=True)
class Codes:
    """The answer codes of one kind of bot; 0 is success. ``names``: the code is in the first of these fields found.

    ``too_fast``: the bot's rate limit is exceeded; ``this_message``: only this message is refused; ``hints``:
    explanations of other codes.
    """

    names: tuple[str, ...]
    too_fast: frozenset[int]
    this_message: frozenset[int]
    hints: Mapping[int, str]

    def taken(self, poster: Poster, answer: tuple[int, Mapping[str, str], bytes]) -> str:
        """A summary of the answer if the message was accepted. Raises DeliveryFailed."""
        status, headers, content = answer
        try:
            answered = json.loads(content)
        except (ValueError, RecursionError):
            answered = None
        said: dict[str, Any] = answered if isinstance(answered, dict) else {}
        code = next((said[name] for name in self.names if type(said.get(name)) is int), None)
        if code is None:
            if status != 200:
                raise poster.http_failure(status, headers, content)
            raise DeliveryFailed("it answers 200 without a code, so delivery is unknown; expected the address of a bot")
        if code == 0:
            return f"{self.names[0]} 0"
        words = next((str(said[key]) for key in ("errmsg", "msg", "StatusMessage") if said.get(key)), "")
        hint = f"; {self.hints[code]}" if code in self.hints else ""
        raise DeliveryFailed(
            f"{self.names[0]} {code}: {poster.shown(words)}{hint}",
            message_alone=code in self.this_message,
            wait_s=60 if code in self.too_fast else None,
        )


class SignedBot:
    """A bot that may sign its messages. Without ``secret``, it is secured by a keyword or this machine's address."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: SecretStr,
        secret: SecretStr | None,
        clock: Callable[[], int],
        links: PageLinks,
        per_minute: int,
    ) -> None:
        self._poster, self._secret = Poster(session, url, secret), secret
        self._clock, self._links, self.per_minute = clock, links, per_minute
