"""Review keys: which reviews are accepted, by the signatures of the people or programs that vouch for them.

Verification is a pure function of the record, its header and the keys. It costs about a tenth of a millisecond, so
everything else that is wrong with a record is found first.
"""

import base64
import binascii
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from monitor.decoding.decoded_rows import DecodedRows
from schemas.error_codes import ErrorCode, InvalidRecordError
from schemas.error_messages import ReceivedValue, show
from schemas.inputs import Review
from schemas.review_signature import Signatures, parse_signature

# Most workers have no review keys: `cryptography`, which takes seven megabytes, is imported where it is used.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MAX_KEYS: Final = 100
"""The most keys of a worker: they are stored with the state in each transaction."""

_KEY_BYTES: Final = 32


class ReviewKeys:
    """Ed25519 public keys by name. ``texts`` has them in base64, as in the settings and in the journal."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Raises ValueError if one is not a key."""
        self.texts = dict(texts)
        self._keys = {name: public_key(text) for name, text in texts.items()}

    def verify(self, value: bytes, headers: Signatures) -> str:
        """The name that vouches for these bytes. Raises InvalidRecordError."""
        from cryptography.exceptions import InvalidSignature

        name, signature = parse_signature(headers)
        key = self._keys.get(name)
        if key is None:
            shown = show("name", ReceivedValue("a string", name))
            raise InvalidRecordError(f"{ErrorCode.BAD_SIGNATURE}: there is no review key with the name {shown}")
        try:
            key.verify(signature, value)
        except InvalidSignature:
            shown = show("name", ReceivedValue("a string", name))
            raise InvalidRecordError(
                f"{ErrorCode.BAD_SIGNATURE}: it is not a signature of the review's bytes by the key with the name "
                f"{shown}: the review was changed, or signed with another key"
            ) from None
        return name


class SignatureChecks:
    """Checks the reviews of decoded rows."""

    def __init__(self) -> None:
        self._newest: tuple[Mapping[str, str], ReviewKeys] | None = None

    def check(
        self,
        decoded: DecodedRows,
        keys_at: Callable[[int], Mapping[str, str] | None],
        signatures: Mapping[int, Signatures],
    ) -> tuple[int, Counter[str]]:
        """Reject the reviews without a valid signature.

        ``keys_at`` has the keys in force at an offset: without keys, nothing is rejected. Returns how many reviews had
        a signature, and the number of those accepted, by the name that vouches for them.
        """
        faults: dict[int, str] = {}
        signed, vouched = 0, Counter[str]()
        for row, record in decoded.others:
            if not isinstance(record, Review):
                continue
            offset = int(decoded.line[row])
            texts = keys_at(offset)
            if not texts:
                continue
            headers = signatures.get(offset, ())
            signed += bool(headers)
            try:
                vouched[self._keys(texts).verify(decoded.raw[row], headers)] += 1
            except InvalidRecordError as error:
                faults[row] = str(error)
        if faults:
            decoded.reject(faults)
        return signed, vouched

    def _keys(self, texts: Mapping[str, str]) -> ReviewKeys:
        if self._newest is None or self._newest[0] is not texts:
            self._newest = texts, ReviewKeys(texts)
        return self._newest[1]


def public_key(text: str) -> "Ed25519PublicKey":
    """The key that is written so. Raises ValueError, whose message says what was expected."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    expected = f"expected an Ed25519 public key: {_KEY_BYTES} bytes in base64, as `callwarden reviews keygen` prints it"
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"it is not base64; {expected}") from None
    if len(raw) != _KEY_BYTES or base64.b64encode(raw).decode() != text:
        raise ValueError(f"it has {len(raw)} bytes; {expected}")
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise ValueError(expected) from None
