"""Random keys of one console, shared by all its processes through the database."""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from sqlalchemy import Connection, select

from streams.console.identity.tables import SECRETS
from streams.consumers.sql_common import insert_new

_NONCE: Final = 16


def secret_key(connection: Connection, name: str) -> bytes:
    """The key of that name: 32 bytes, made by the first who asks."""
    made = urlsafe_b64encode(secrets.token_bytes(32)).decode()
    connection.execute(insert_new(connection, SECRETS).values(name=name, value=made))
    stored: str = connection.execute(select(SECRETS.c.value).where(SECRETS.c.name == name)).scalar_one()
    return urlsafe_b64decode(stored)


class Devices:
    """Marks of browsers in which a user has signed in before: failures elsewhere do not slow those down."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mark(self, subject: str) -> str:
        """A new mark for a browser of that user."""
        nonce = secrets.token_urlsafe(_NONCE)
        return f"{nonce}.{self._mac(subject, nonce)}"

    def verified(self, subject: str, mark: str) -> str | None:
        """What names the browser, if the mark is one of that user; else None."""
        nonce, _, mac = mark.partition(".")
        expected = self._mac(subject, nonce)
        right = hmac.compare_digest(expected.encode(), mac.encode("utf-8", "surrogatepass"))
        return nonce if right else None

    def _mac(self, subject: str, nonce: str) -> str:
        digest = hmac.digest(self._key, f"{subject}\n{nonce}".encode("utf-8", "surrogatepass"), "sha256")
        return urlsafe_b64encode(digest).decode().rstrip("=")
