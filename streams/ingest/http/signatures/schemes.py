"""The schemes by name."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from streams.ingest.http.signatures.signed import SignatureScheme
from streams.ingest.http.signatures.standard_webhooks import StandardWebhooksSignature
from streams.ingest.http.signatures.telnyx import TelnyxSignature
from streams.ingest.http.signatures.twilio import TwilioSignature
from streams.ingest.http.signatures.vonage import VonageSignature


class SignatureOptions(NamedTuple):
    """What the sources file says of a signature. ``secrets`` of Telnyx are public keys; ``origin`` is Twilio's."""

    secrets: Sequence[bytes]
    tolerance_s: float
    origin: str

    def __repr__(self) -> str:
        return "SignatureOptions(...)"


SCHEMES: Final[Mapping[str, Callable[[SignatureOptions], SignatureScheme]]] = {
    "twilio": lambda options: TwilioSignature(options.secrets, options.origin),
    "vonage": lambda options: VonageSignature(options.secrets, options.tolerance_s),
    "standard-webhooks": lambda options: StandardWebhooksSignature(options.secrets, options.tolerance_s),
    "telnyx": lambda options: TelnyxSignature(options.secrets, options.tolerance_s),
}
