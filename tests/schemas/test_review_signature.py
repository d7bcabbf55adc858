"""The header `callwarden-signature`: what is a signature, and that any bytes are one or have a reason."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.thorough import examples
from schemas.error_codes import InvalidRecordError
from schemas.review_signature import (
    MAX_HEADER_BYTES,
    SIGNATURE_HEADER,
    kept,
    name_fault,
    parse_signature,
    signatures_in,
    signer_of,
    write_signature,
)

SIGNATURE = bytes(range(64))
WRITTEN = base64.b64encode(SIGNATURE)
NAMES = st.text(min_size=1, max_size=64).filter(lambda name: name_fault(name) is None)


@examples(NAMES, st.binary(min_size=64, max_size=64), fast=25, most=100)
def test_what_is_written_is_read(name: str, signature: bytes) -> None:
    header = write_signature(name, signature)
    assert len(header) <= MAX_HEADER_BYTES
    assert parse_signature((header,)) == (name, signature)
    assert signer_of(header) == name
    assert kept((header,)) == header


@given(st.lists(st.binary(max_size=700), max_size=3))
def test_any_headers_are_a_signature_or_have_a_reason_of_one_short_line(values: list[bytes]) -> None:
    headers = signatures_in((SIGNATURE_HEADER, value) for value in values)
    assert len(headers) == min(len(values), 2)
    assert all(len(each) <= MAX_HEADER_BYTES + 1 for each in headers)
    try:
        name, signature = parse_signature(headers)
    except InvalidRecordError as error:
        reason = str(error)
        assert reason.startswith("unsigned_review: " if not values else "bad_signature: ")
        assert reason.isprintable()
        assert len(reason) < 300
    else:
        assert write_signature(name, signature) == headers[0], "each signature has one spelling"


@examples(NAMES, st.text("ABCDwxyz0123456789+/=-_ \n", min_size=80, max_size=92).map(str.encode), fast=25, most=100)
def test_no_second_spelling_of_a_signature_is_read(name: str, encoded: bytes) -> None:
    header = name.encode() + b":" + encoded
    try:
        parsed = parse_signature((header,))
    except InvalidRecordError:
        return
    assert write_signature(*parsed) == header


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ((), "unsigned_review: there is no header callwarden-signature"),
        ((b"",), "has no colon"),
        ((b"wang",), "has no colon"),
        ((b":" + WRITTEN,), "the name of the key: expected 1 to 64"),
        ((b"wa ng:" + WRITTEN,), "the name of the key: expected 1 to 64"),
        ((b"a/b:" + WRITTEN,), "the name of the key: expected 1 to 64"),
        (("长" * 65).encode() + b":" + WRITTEN, "the name of the key: expected 1 to 64"),
        ((b"\xff:" + WRITTEN,), "the name of the key is not UTF-8"),
        ((b"wang:",), "the signature has 0 bytes"),
        ((b"wang:" + WRITTEN[:-4],), "the signature has 63 bytes"),
        ((b"wang:" + WRITTEN[:-2],), "is not base64"),
        ((b"wang:" + WRITTEN[:-1] + b"\n",), "is not base64"),
        ((b"wang:" + WRITTEN.replace(b"+", b"-").replace(b"/", b"_") + b"!",), "is not base64"),
        ((b"wang:" + WRITTEN, b"wang:" + WRITTEN), "more than one header"),
        ((b"w" * 1_000_000,), "more than 512 bytes"),
    ],
)
def test_what_is_wrong_is_named(headers: tuple[bytes, ...] | bytes, why: str) -> None:
    values = (headers,) if isinstance(headers, bytes) else headers
    with pytest.raises(InvalidRecordError, match=why):
        parse_signature(signatures_in((SIGNATURE_HEADER, value) for value in values))


def test_only_a_header_that_may_be_right_is_kept() -> None:
    assert kept(()) is None
    assert kept((b"a:b", b"a:b")) is None
    assert kept((b"x" * (MAX_HEADER_BYTES + 1),)) is None
    assert kept((b"anything short",)) == b"anything short"
    assert signatures_in([("other", b"x"), (SIGNATURE_HEADER, None)]) == (b"",)
