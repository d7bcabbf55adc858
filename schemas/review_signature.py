"""The header that signs a review: `callwarden-signature`, with `NAME:BASE64`.

The base64 is an Ed25519 signature (RFC 8032) over the bytes of the record's value. This module reads and writes the
header; `monitor.decoding.review_keys` verifies it, and `streams.reviews.signatures` signs.
"""

import base64
import binascii
from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.error_codes import ErrorCode, InvalidRecordError

SIGNATURE_HEADER: Final = "callwarden-signature"

MAX_HEADER_BYTES: Final = 512
"""The most bytes of a header that is read: a name of 64 characters, of four bytes each, and the signature have 345."""

MAX_NAME: Final = 64
SIGNATURE_BYTES: Final = 64

Signatures = tuple[bytes, ...]
"""The values of a record's signature headers, at most two of them, each cut off after `MAX_HEADER_BYTES` + 1 bytes:
enough to tell that there is more than one, or that one is too long."""


class ReviewSignature(NamedTuple):
    """A signature, and the name of the key that made it."""

    name: str
    signature: bytes


def signatures_in(headers: Iterable[tuple[str, bytes | None]]) -> Signatures:
    """The signature headers among all headers of a record. A header without a value counts as an empty one."""
    found: list[bytes] = []
    for name, value in headers:
        if name == SIGNATURE_HEADER:
            found.append((value or b"")[: MAX_HEADER_BYTES + 1])
            if len(found) == 2:
                break
    return tuple(found)


def kept(headers: Signatures) -> bytes | None:
    """The header to keep with a record that is stored or rejected: the only one, unless it is too long for one."""
    return headers[0] if len(headers) == 1 and len(headers[0]) <= MAX_HEADER_BYTES else None


def parse_signature(headers: Signatures) -> ReviewSignature:
    """The signature in the header. Raises InvalidRecordError, also if there is none, or more than one."""
    if not headers:
        raise InvalidRecordError(
            f"{ErrorCode.UNSIGNED_REVIEW}: there is no header {SIGNATURE_HEADER}; expected one with NAME:BASE64, as "
            "`callwarden reviews --key` and the console write it"
        )
    if len(headers) > 1:
        raise _bad(f"there is more than one header {SIGNATURE_HEADER}; expected one")
    value = headers[0]
    if len(value) > MAX_HEADER_BYTES:
        raise _bad(f"the header {SIGNATURE_HEADER} has more than {MAX_HEADER_BYTES} bytes; expected NAME:BASE64")
    raw, colon, encoded = value.rpartition(b":")
    if not colon:
        raise _bad(f"the header {SIGNATURE_HEADER} has no colon; expected NAME:BASE64")
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise _bad("the name of the key is not UTF-8") from None
    if fault := name_fault(name):
        raise _bad(f"the name of the key: {fault}")
    try:
        signature = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise _bad("the signature is not base64; expected that of 64 bytes, 88 characters") from None
    # The same 64 bytes must not have two spellings: base64 leaves four bits of the last character unused.
    if len(signature) != SIGNATURE_BYTES or base64.b64encode(signature) != encoded:
        raise _bad(f"the signature has {len(signature)} bytes; expected {SIGNATURE_BYTES}, in base64 with padding")
    return ReviewSignature(name, signature)


def write_signature(name: str, signature: bytes) -> bytes:
    """The value of the header."""
    return name.encode() + b":" + base64.b64encode(signature)


def signer_of(header: bytes | None) -> str | None:
    """The name in a header; None if there is no valid header. Whether its signature is right is not checked."""
    try:
        return parse_signature(() if header is None else (header,)).name
    except InvalidRecordError:
        return None


def name_fault(name: str) -> str | None:
    """What is wrong with the name of a key, which is also that of its file; None if nothing is."""
    if 0 < len(name) <= MAX_NAME and name.isprintable() and not any(c.isspace() or c in ":/\\" for c in name):
        return None
    return f"expected 1 to {MAX_NAME} printable characters without spaces, colons and slashes"


def _bad(why: str) -> InvalidRecordError:
    return InvalidRecordError(f"{ErrorCode.BAD_SIGNATURE}: {why}")
