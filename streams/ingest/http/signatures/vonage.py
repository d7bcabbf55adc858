"""Vonage's signature: a JWT (HS256) in the header `Authorization`, with the hash of the body."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from streams.ingest.http.signatures.signed import (
    InvalidSignature,
    SignedRequest,
    from_base64,
    header,
    matches,
    must_be_recent,
)

_MOST: Final = 8_192


class VonageSignature:
    """See the module. Its time is `iat`."""

    uses_authorization = True

    def __init__(self, secrets: Sequence[bytes], tolerance_s: float) -> None:
        self._secrets, self._tolerance_s = secrets, tolerance_s

    def verify(self, request: SignedRequest) -> tuple[bytes, ...]:
        """See `SignatureScheme`."""
        scheme, _, token = header(request, "Authorization").partition(" ")
        parts = token.strip().split(".")
        if scheme.lower() != "bearer" or len(parts) != 3 or len(token) > _MOST:
            raise InvalidSignature("expected a JWT as Authorization: Bearer")
        signed = f"{parts[0]}.{parts[1]}".encode("utf-8", "replace")
        given = from_base64(parts[2], "the JWT", url=True)
        # The algorithm is this one, whatever the JWT says: `none` and others are refused below.
        if not matches(given, [hmac.digest(each, signed, "sha256") for each in self._secrets]):
            raise InvalidSignature("the JWT is not signed with the signature secret")
        if _object(parts[0]).get("alg") != "HS256":
            raise InvalidSignature("expected a JWT of the algorithm HS256")
        claims = _object(parts[1])
        self._must_be_now(claims, request.now_s)
        wanted, found = claims.get("payload_hash"), hashlib.sha256(request.body)
        if not isinstance(wanted, str) or not hmac.compare_digest(found.hexdigest().encode(), wanted.lower().encode()):
            raise InvalidSignature("payload_hash is not the hash of the body")
        return (found.digest(),)

    def _must_be_now(self, claims: Mapping[str, Any], now_s: float) -> None:
        issued = claims.get("iat")
        if not isinstance(issued, int | float) or isinstance(issued, bool):
            raise InvalidSignature("expected the claim iat")
        must_be_recent(issued, now_s, self._tolerance_s)
        expires = claims.get("exp")
        if expires is not None and (not isinstance(expires, int | float) or expires <= now_s):
            raise InvalidSignature("the JWT has expired")


def _object(part: str) -> dict[str, Any]:
    try:
        found = orjson.loads(from_base64(part, "the JWT", url=True))
    except orjson.JSONDecodeError:
        raise InvalidSignature("expected JSON in the JWT") from None
    if not isinstance(found, dict):
        raise InvalidSignature("expected JSON objects in the JWT")
    return found
