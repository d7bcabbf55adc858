"""Telnyx' signature: Ed25519 of time and body, by the public key of the account."""

import hashlib
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature as Mismatch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from streams.ingest.http.signatures.signed import InvalidSignature, SignedRequest, from_base64, header, must_be_recent


class TelnyxSignature:
    """See the module."""

    uses_authorization = False

    def __init__(self, public_keys: Sequence[bytes], tolerance_s: float) -> None:
        """Raises InvalidSignature if a key is not one."""
        raws = [from_base64(each.decode("ascii", "replace"), "the public key") for each in public_keys]
        try:
            self._keys = [Ed25519PublicKey.from_public_bytes(raw) for raw in raws]
        except ValueError:
            raise InvalidSignature("expected public keys of 32 bytes in base64") from None
        self._tolerance_s = tolerance_s

    def verify(self, request: SignedRequest) -> tuple[bytes, ...]:
        """See `SignatureScheme`."""
        time = header(request, "telnyx-timestamp")
        must_be_recent(time, request.now_s, self._tolerance_s)
        given = from_base64(header(request, "telnyx-signature-ed25519"), "telnyx-signature-ed25519")
        signed = time.encode("latin-1") + b"|" + request.body
        for key in self._keys:
            try:
                key.verify(given, signed)
            except Mismatch:
                continue
            return (hashlib.sha256(request.body).digest(),)
        raise InvalidSignature("telnyx-signature-ed25519 does not fit the time and the body")
