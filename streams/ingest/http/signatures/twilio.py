"""Twilio's signature: HMAC-SHA1 of the URL and the sorted parameters, or of a URL with the body's hash.

Twilio signs no time, so a replay is recognised by the signature itself.
"""

import hashlib
import hmac
from collections import defaultdict
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from streams.ingest.http.signatures.signed import InvalidSignature, SignedRequest, from_base64, header, matches

_BODY_HASH: Final = "bodySHA256"
_MOST_FIELDS: Final = 1_000
_PORTS: Final = {"https": 443, "http": 80}


class TwilioSignature:
    """See the module. ``origin``: scheme, host and port of the URL that Twilio calls, which a proxy may change."""

    uses_authorization = False

    def __init__(self, secrets: Sequence[bytes], origin: str) -> None:
        self._secrets, self._origins = secrets, _origins(origin)

    def verify(self, request: SignedRequest) -> tuple[bytes, ...]:
        """See `SignatureScheme`."""
        given = from_base64(header(request, "X-Twilio-Signature"), "X-Twilio-Signature")
        signed = self._parameters(request)
        urls = [(origin + request.target).encode("latin-1") for origin in self._origins]
        if not matches(given, [hmac.digest(each, url + signed, "sha1") for each in self._secrets for url in urls]):
            raise InvalidSignature("X-Twilio-Signature does not fit the URL and the body: is `origin` the public one?")
        return (given,)

    @staticmethod
    def _parameters(request: SignedRequest) -> bytes:
        query = dict(parse_qsl(request.target.partition("?")[2], keep_blank_values=True))
        if (wanted := query.get(_BODY_HASH)) is not None:
            if not hmac.compare_digest(hashlib.sha256(request.body).hexdigest().encode(), wanted.lower().encode()):
                raise InvalidSignature(f"{_BODY_HASH} is not the hash of the body")
            return b""
        if not request.headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            raise InvalidSignature(f"expected a form, or the parameter {_BODY_HASH}")
        fields: defaultdict[str, set[str]] = defaultdict(set)
        try:
            text = request.body.decode("ascii")
            for name, value in parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS):
                fields[name].add(value)
        except ValueError:
            raise InvalidSignature(f"expected a form of at most {_MOST_FIELDS:,} fields in UTF-8") from None
        return "".join(name + value for name in sorted(fields) for value in sorted(fields[name])).encode()


def _origins(origin: str) -> list[str]:
    """The origin with and without the usual port: Twilio signs either."""
    parts = urlsplit(origin)
    host, usual = parts.hostname or "", _PORTS.get(parts.scheme)
    if ":" in host:
        host = f"[{host}]"
    if parts.port not in (None, usual):
        return [f"{parts.scheme}://{host}:{parts.port}"]
    return [f"{parts.scheme}://{host}", f"{parts.scheme}://{host}:{usual}"]
