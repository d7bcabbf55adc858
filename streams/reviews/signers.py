"""Which keys signed reviews, verified with the public keys that this program knows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from schemas.inputs import Review
from schemas.review_signature import signer_of
from streams.consumers.ledger.entries import without_nul
from streams.consumers.ledger.tables import LISTED
from streams.consumers.record_decoding import review_of

# `cryptography` is imported only if there is a signature to verify.
if TYPE_CHECKING:
    from monitor.decoding.review_keys import ReviewKeys

_AT_ONCE = 400

SignerState = Literal["verified", "unchecked", "unknown_key", "wrong", "unsigned"]


class ReviewSigner(NamedTuple):
    """The name of the key in the header of a review, and what verifying the signature found.

    ``unchecked``: no review keys are known here. ``unknown_key``: none has that name. ``wrong``: it is not a signature
    of these bytes by that key. ``unsigned``: there is no valid header, and the name is empty.
    """

    name: str
    state: SignerState


def signers_of(
    connection: Connection, reviews: Sequence[Review], keys: Mapping[str, str] | None
) -> list[tuple[ReviewSigner, ...]]:
    """The signers of each of these reviews, as the ledger has them; see `signers_in`."""
    return signers_in(_entries(connection, sorted({review.enforcement_id for review in reviews})), reviews, keys)


def signers_in(
    entries: Iterable[tuple[bytes, bytes | None]], reviews: Sequence[Review], keys: Mapping[str, str] | None
) -> list[tuple[ReviewSigner, ...]]:
    """The signers of each of these reviews, in their order: several, if it was sent with several headers.

    ``entries``: the values and headers of the records of reviews, of these and of others. ``keys`` are the public keys
    by name, as the workers have them; None: they are not known. The same review without a header counts only if there
    are keys, because a worker without keys accepts it.
    """
    # By its content: another record may have the same id.
    found: dict[tuple[object, ...], dict[ReviewSigner, None]] = {}
    known: ReviewKeys | None = None
    for value, header in entries:
        name = signer_of(header)
        if name is None:
            if not keys:
                continue
            signer = ReviewSigner("", "unsigned")
        elif not keys:
            signer = ReviewSigner(name, "unchecked")
        elif name not in keys:
            signer = ReviewSigner(name, "unknown_key")
        else:
            known = known or _review_keys(keys)
            signer = ReviewSigner(name, "verified" if _is_right(known, value, header) else "wrong")
        found.setdefault(msgspec.structs.astuple(review_of(value)), {})[signer] = None
    return [tuple(found.get(msgspec.structs.astuple(review), ())) for review in reviews]


def _entries(connection: Connection, about: Sequence[str]) -> Iterable[tuple[bytes, bytes | None]]:
    """The values and headers of the reviews of these decisions."""
    for start in range(0, len(about), _AT_ONCE):
        some = [without_nul(each) for each in about[start : start + _AT_ONCE]]
        query = select(LISTED.c.value, LISTED.c.signature).where(LISTED.c.about.in_(some)).order_by(LISTED.c.number)
        for value, header in connection.execute(query):
            yield bytes(value), None if header is None else bytes(header)


def _review_keys(keys: Mapping[str, str]) -> "ReviewKeys":
    from monitor.decoding.review_keys import ReviewKeys

    return ReviewKeys(keys)


def _is_right(keys: "ReviewKeys", value: bytes, header: bytes | None) -> bool:
    from schemas.error_codes import InvalidRecordError

    try:
        keys.verify(value, () if header is None else (header,))
    except InvalidRecordError:
        return False
    return True
