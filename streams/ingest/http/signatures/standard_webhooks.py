"""Standard Webhooks: HMAC-SHA256 of id, time and body, one signature for each of the sender's secrets."""

import hmac
from collections.abc import Sequence
from typing import Final

from streams.ingest.http.signatures.signed import (
    InvalidSignature,
    SignedRequest,
    from_base64,
    header,
    matches,
    must_be_recent,
)

_PREFIX: Final = "whsec_"
_MOST: Final = 20  # signatures, each of another secret of the sender


class StandardWebhooksSignature:
    """See the module. Secrets are in base64, with or without `whsec_`."""

    uses_authorization = False

    def __init__(self, secrets: Sequence[bytes], tolerance_s: float) -> None:
        """Raises InvalidSignature if a secret is not base64."""
        texts = [each.decode("ascii", "replace").removeprefix(_PREFIX) for each in secrets]
        self._secrets = [from_base64(text, "the secret") for text in texts]
        self._tolerance_s = tolerance_s

    def verify(self, request: SignedRequest) -> tuple[bytes, ...]:
        """See `SignatureScheme`."""
        name, time = header(request, "webhook-id"), header(request, "webhook-timestamp")
        must_be_recent(time, request.now_s, self._tolerance_s)
        signed = f"{name}.{time}.".encode("latin-1") + request.body
        wanted = [hmac.digest(each, signed, "sha256") for each in self._secrets]
        given = [each.removeprefix("v1,") for each in header(request, "webhook-signature").split() if each[:3] == "v1,"]
        if len(given) > _MOST or not any(matches(from_base64(each, "webhook-signature"), wanted) for each in given):
            raise InvalidSignature("webhook-signature has no signature v1 that fits the id, the time and the body")
        return (name.encode("latin-1"),)
