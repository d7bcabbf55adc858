"""What every channel is, and how one posts without ever showing an address or a secret."""

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from pydantic import SecretStr
from yarl import URL

from monitor.text.masking import mask_numbers
from streams.consumers.notify.messages.message import Message

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MOST_READ = 65_536
_MOST_SHOWN = 200
_LEAST_SECRET = 6
_LEAST_KEY = 16  # in a path, beside words


class DeliveryFailed(Exception):
    """A receiver did not take a message. ``str()`` is one readable line without address or secret.

    ``message_alone``: it is this message that it does not take; others may be. ``receiver_alone``: no message was at
    fault. Neither: it is one or the other. ``wait_s``: how long it wants to be left alone.
    """

    def __init__(
        self, why: str, *, message_alone: bool = False, receiver_alone: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(why)
        self.message_alone, self.wait_s = message_alone, wait_s
        self.receiver_alone = receiver_alone or wait_s is not None


class Channel(Protocol):
    """One receiver. ``per_minute``: how many messages it is sent at most, of more a digest; None: any number, each by
    itself. ``at_once``: how many go in one request."""

    name: str

    @property
    def per_minute(self) -> int | None: ...

    @property
    def at_once(self) -> int: ...

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        """Deliver these, made at these times; what the receiver answered, in a few words. Raises Failed."""
        ...


class Poster:
    """Posts JSON to one secret address."""

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr, secret: SecretStr | None = None) -> None:
        self._session, self.url, self._secret = session, url.get_secret_value(), secret

    async def post(
        self, body: bytes, query: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and content of the answer. Raises Failed where there is none, or a redirect."""
        address = self.url + (("&" if "?" in self.url else "?") + query if query else "")
        try:
            async with self._session.post(
                URL(address, encoded=True),
                data=body,
                headers={"content-type": "application/json; charset=utf-8", **(headers or {})},
                allow_redirects=False,  # it would carry what is told to somebody who was not named
                timeout=TIMEOUT,
            ) as answer:
                content = await _beginning(answer.content)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise DeliveryFailed(_why(error), receiver_alone=_not_reached(error)) from None
        if 300 <= answer.status < 400:
            raise DeliveryFailed(
                f"it answers {answer.status}, a redirect, which is not followed; its final address is needed"
            )
        return answer.status, answer.headers, content

    def shown(self, text: str) -> str:
        """What a receiver said, fit for a log: short, in one line, without what is secret and without numbers."""
        parts = urlsplit(self.url)
        secrets = [value for _, value in parse_qsl(parts.query)] + [parts.username or "", parts.password or ""]
        secrets += [part for part in parts.path.split("/") if len(part) >= _LEAST_KEY]
        secrets += [self._secret.get_secret_value()] if self._secret else []
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _LEAST_SECRET:
                text = text.replace(secret, "***")
        line = mask_numbers(" ".join(text.split()))
        return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"

    def http_failure(self, status: int, headers: Mapping[str, str], content: bytes) -> DeliveryFailed:
        """For an answer that is no success."""
        said = self.shown(content.decode("utf-8", "replace"))
        why = f"it answers {status}" + (f": {said}" if said else "")
        if status == 429:
            return DeliveryFailed(why, wait_s=_seconds(headers.get("Retry-After")) or 60)
        return DeliveryFailed(why, message_alone=status in (400, 413, 422))


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """What was answered, in however many pieces it comes; of a long answer not all."""
    read = bytearray()
    async for piece in content.iter_any():
        read += piece
        if len(read) >= _MOST_READ:
            break
    return bytes(read[:_MOST_READ])


def _why(error: Exception) -> str:
    """In our words: the client's hold addresses."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT.total:g} s"
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError)):
        return "no secure connection: its certificate is not trusted here, or it speaks no TLS"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return f"no connection: {os.strerror(number) if number > 0 else 'its name leads nowhere'}"
    if isinstance(error, (aiohttp.InvalidURL, ValueError)):
        return "its address cannot be used"
    return f"the connection broke ({type(error).__name__})"


def _not_reached(error: Exception) -> bool:
    """Whether the receiver cannot have seen what was to be sent."""
    return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ssl.SSLError))


def _seconds(text: str | None) -> float | None:
    return min(float(text), 3600.0) if text and text.isascii() and text.isdigit() else None
