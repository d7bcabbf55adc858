"""A custom webhook: each message as JSON, signed as in Standard Webhooks (docs/guides/notify.md)."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence

import aiohttp
import msgspec
from pydantic import SecretStr

from streams.consumers.notify.channels.base import Poster
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.messages.page_links import PageLinks


class Webhook:
    """See `Channel`. ``webhook-id`` identifies the message and is the same at each retry."""

    name, at_once, per_minute = "webhook", 1, None

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: SecretStr,
        secret: SecretStr,
        clock: Callable[[], int],
        links: PageLinks,
    ) -> None:
        self._poster, self._key = Poster(session, url, secret), key(secret.get_secret_value())
        self._clock, self._links = clock, links

    async def send(self, messages: Sequence[Message], since_ms: Sequence[int]) -> str:
        [message] = messages
        content = msgspec.to_builtins(message)
        content["link"] = self._links.of(message)
        for item, entry in zip(content["items"], message.items, strict=True):
            item["link"] = self._links.of(message, entry)
        body = msgspec.json.encode({"type": "callwarden.notice.v1", **content})
        now_s, id_ = self._clock() // 1000, identity(message)
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(now_s),
            "webhook-signature": f"v1,{signature(self._key, id_, now_s, body)}",
        }
        status, answered, said = await self._poster.post(body, headers=headers)
        if not 200 <= status < 300:
            raise self._poster.http_failure(status, answered, said)
        return str(status)


def identity(message: Message) -> str:
    """A message's id for a header: `Message.id` may contain a tenant's id, which a header cannot carry."""
    return f"msg_{hashlib.sha256(message.id.encode()).hexdigest()[:32]}"


def key(secret: str) -> bytes:
    """The key of a secret: decodes ``whsec_`` and base64, as in Standard Webhooks; other text is used as it is."""
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            pass
    return secret.encode()


def signature(key: bytes, id_: str, timestamp_s: int, body: bytes) -> str:
    """HMAC-SHA256 of ``id.timestamp.body``, in base64."""
    return base64.b64encode(hmac.digest(key, f"{id_}.{timestamp_s}.".encode() + body, hashlib.sha256)).decode()
