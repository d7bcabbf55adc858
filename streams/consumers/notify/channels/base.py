"""The interface of channels, and HTTP posts that never show an address or a secret."""

import asyncio
import os
import ssl
from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from pydantic import SecretStr
from yarl import URL

from monitor.text.masking import mask_text
from streams.consumers.notify.messages.message import Message

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)
_MOST_READ = 65_536
_MOST_SHOWN = 200
_LEAST_SECRET = 6
_LEAST_KEY = 16  # in a path, to tell keys from words


class DeliveryFailed(Exception):
    """A receiver did not accept a message. ``str()`` is one readable line without address or secret.

    ``message_alone``: only this message is refused; others may be accepted. ``receiver_alone``: no message is at
    fault. Neither: the cause is one or the other. ``wait_s``: how long the receiver asks to wait.
    """

    def __init__(
        self, why: str, *, message_alone: bool = False, receiver_alone: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(why)
        self.message_alone, self.wait_s = message_alone, wait_s
        self.receiver_alone = receiver_alone or wait_s is not None


class Channel(Protocol):
    """One receiver. ``per_minute``: the most messages it gets a minute, beyond which a digest is sent; None: no limit
    and no digest. ``at_once``: the most messages in one request."""

    name: str

    @property
    def per_minute(self) -> int | None: ...

    @property
    def at_once(self) -> int: ...

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        """Deliver messages created at these times. Returns a summary of the answer. Raises DeliveryFailed."""
        ...


class Poster:
    """Posts JSON to one secret URL."""

    def __init__(self, session: aiohttp.ClientSession, url: SecretStr, secret: SecretStr | None = None) -> None:
        self._session, self.url, self._secret = session, url.get_secret_value(), secret

    async def post(
        self, body: bytes, query: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and content of the answer. Raises DeliveryFailed if there is none, or on a redirect."""
        address = self.url + (("&" if "?" in self.url else "?") + query if query else "")
        try:
            async with self._session.post(
                URL(address, encoded=True),
                data=body,
                headers={"content-type": "application/json; charset=utf-8", **(headers or {})},
                allow_redirects=False,  # it would send messages to a receiver that is not configured
                timeout=TIMEOUT,
            ) as answer:
                content = await _beginning(answer.content)
        except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError, OSError, ValueError) as error:
            raise DeliveryFailed(_why(error), receiver_alone=_not_reached(error)) from None
        if 300 <= answer.status < 400:
            raise DeliveryFailed(
                f"it answers {answer.status}, a redirect, which is not followed; expected its final address"
            )
        return answer.status, answer.headers, content

    def shown(self, text: str) -> str:
        """A receiver's text for a log: short, on one line, with secrets and numbers masked."""
        parts = urlsplit(self.url)
        secrets = [value for _, value in parse_qsl(parts.query)] + [parts.username or "", parts.password or ""]
        secrets += [part for part in parts.path.split("/") if len(part) >= _LEAST_KEY]
        secrets += [self._secret.get_secret_value()] if self._secret else []
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _LEAST_SECRET:
                text = text.replace(secret, "***")
        line = mask_text(" ".join(text.split()))
        return line if len(line) <= _MOST_SHOWN else f"{line[:_MOST_SHOWN]}…"

    def http_failure(self, status: int, headers: Mapping[str, str], content: bytes) -> DeliveryFailed:
        """The failure for an answer that is not a success."""
        said = self.shown(content.decode("utf-8", "replace"))
        why = f"it answers {status}" + (f": {said}" if said else "")
        if status == 429:
            return DeliveryFailed(why, wait_s=_seconds(headers.get("Retry-After")) or 60)
        return DeliveryFailed(why, message_alone=status in (400, 413, 422))


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """The start of an answer, in however many pieces it comes; at most 64 KiB."""
    read = bytearray()
    async for piece in content.iter_any():
        read += piece
        if len(read) >= _MOST_READ:
            break
    return bytes(read[:_MOST_READ])


def _why(error: Exception) -> str:
    """The reason in our words: the client's messages contain addresses."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT.total:g} s"
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError, ssl.SSLError)):
        return "no secure connection: its certificate is not trusted here, or it does not use TLS"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno or 0
        return f"no connection: {os.strerror(number) if number > 0 else 'its name cannot be resolved'}"
    if isinstance(error, (aiohttp.InvalidURL, ValueError)):
        return "its address cannot be used"
    return f"the connection broke ({type(error).__name__})"


def _not_reached(error: Exception) -> bool:
    """Whether the receiver cannot have seen the request."""
    return isinstance(error, (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ssl.SSLError))


def _seconds(text: str | None) -> float | None:
    return min(float(text), 3600.0) if text and text.isascii() and text.isdigit() else None
