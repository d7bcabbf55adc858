"""What all schemes share: the request, the error, and comparisons."""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

TOLERANCE_S: Final = 300.0
"""How far the time of a signature may be from the clock."""


class InvalidSignature(Exception):
    """The signature is missing, wrong, or too old; the message is the reason, without the signature."""


class SignedRequest(NamedTuple):
    """``target`` is path and query as they came, ``body`` the bytes as sent, ``now_s`` the time since 1970."""

    headers: Mapping[str, str]
    target: str
    body: bytes
    now_s: float


class SignatureScheme(Protocol):
    """One way of signing, with its secrets."""

    uses_authorization: bool
    """Whether the signature is in the header `Authorization`, so that no token can be there."""

    def verify(self, request: SignedRequest) -> tuple[bytes, ...]:
        """What identifies the message in all of its repetitions. Raises InvalidSignature."""
        ...


def header(request: SignedRequest, name: str) -> str:
    """A header. Raises InvalidSignature if it is missing."""
    found = request.headers.get(name.lower())
    if not found:
        raise InvalidSignature(f"expected the header {name}")
    return found


def must_be_recent(seconds: str | float, now_s: float, tolerance_s: float) -> None:
    """Raises InvalidSignature for a time, in seconds since 1970, that is too far from the clock, or is none."""
    try:
        far_s = abs(now_s - float(seconds))
    except (ValueError, OverflowError):
        raise InvalidSignature("expected a time in seconds since 1970") from None
    if not far_s <= tolerance_s:
        raise InvalidSignature(f"expected a time within {tolerance_s:g} s of this clock: is the request a replay?")


def matches(given: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether a signature is one of those wanted. Compares with each, in constant time."""
    found = False
    for each in wanted:
        found = hmac.compare_digest(given, each) or found
    return found


def from_base64(text: str, what: str, *, url: bool = False) -> bytes:
    """The bytes of a text in base64. Raises InvalidSignature."""
    try:
        if url:
            return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidSignature(f"expected {what} in base64") from None
