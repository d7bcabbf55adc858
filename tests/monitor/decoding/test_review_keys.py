"""Review keys: which signature vouches for which bytes, and that nothing costs more than it must."""

import base64
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.review_signing import key_of, texts_of
from helpers.thorough import examples
from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.keys import salt_of
from monitor.decoding.decode import Decoder
from monitor.decoding.review_keys import ReviewKeys, SignatureChecks, public_key
from monitor.policy.load import load
from schemas.error_codes import InvalidRecordError
from schemas.review_signature import write_signature
from streams.reviews.signatures import sign

WANG, LI = key_of("wang"), key_of("李敏")
KEYS = ReviewKeys(texts_of(WANG, LI))
REVIEW = (
    b'{"type":"review","review_id":"r%d","enforcement_id":"e","tenant_id":"t","verdict":"overturn","reviewer":"x",'
    b'"reason":"y","updated_ms":1772452800000}'
)


@examples(st.binary(max_size=300), fast=25, most=100)
def test_a_key_vouches_for_these_bytes_and_no_others(value: bytes) -> None:
    assert KEYS.verify(value, (sign(value, WANG),)) == "wang"
    assert KEYS.verify(value, (sign(value, LI),)) == "李敏"
    for other in (value + b" ", b" " + value + b"x", value[1:] + b"xy"):
        with pytest.raises(InvalidRecordError, match="bad_signature: it is not a signature of the review's bytes"):
            KEYS.verify(other, (sign(value, WANG),))


@given(st.integers(0, 511))
def test_a_changed_bit_is_found(bit: int) -> None:
    changed = bytearray(WANG.private.sign(b"value"))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidRecordError, match="bad_signature"):
        KEYS.verify(b"value", (write_signature("wang", bytes(changed)),))


def test_a_signature_of_one_name_is_none_of_another() -> None:
    forged = write_signature("wang", LI.private.sign(b"value"))
    with pytest.raises(InvalidRecordError, match='"wang": the review was changed, or signed with another key'):
        KEYS.verify(b"value", (forged,))


def test_an_unknown_name_is_told_without_the_telephone_number_in_it() -> None:
    for name, shown in (("zhao", '"zhao"'), ("13812345678", '"•••••••••78"')):
        with pytest.raises(InvalidRecordError) as found:
            KEYS.verify(b"value", (write_signature(name, bytes(64)),))
        assert str(found.value) == f"bad_signature: there is no review key with the name {shown}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has 0 bytes"),
        ("not base64!", "it is not base64"),
        (base64.b64encode(bytes(31)).decode(), "it has 31 bytes"),
        (base64.b64encode(bytes(33)).decode(), "it has 33 bytes"),
        (WANG.public_text[:-2] + "J=", "it has 32 bytes"),  # another spelling
        ("钥匙", "it is not base64"),
    ],
)
def test_what_is_no_public_key_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        public_key(text)


def decoded(*values: bytes) -> Any:
    policy = load(None)
    decoder = Decoder(FieldLayout.of(policy.params, policy.rules), salt_of(b""))
    return decoder.messages(values, np.arange(len(values)), {})


def test_reviews_are_checked_by_the_keys_at_their_offset() -> None:
    values = [REVIEW % n for n in range(6)]
    rows = decoded(*values, b"{", b'{"type":"complaint"}')
    signatures = {n: (sign(value, WANG if n % 2 else LI),) for n, value in enumerate(values) if n != 4}
    keys = [{}, texts_of(LI), texts_of(WANG)]
    outcome = SignatureChecks().check(rows, lambda offset: keys[offset // 2], signatures)
    assert outcome == (3, {"李敏": 1, "wang": 1})
    assert [(row, reason.partition(":")[0]) for row, reason in rows.rejected[:2]] == [
        (3, "bad_signature"),
        (4, "unsigned_review"),
    ]
    assert [row for row, _ in rows.others] == [0, 1, 2, 5], "unsigned ones before there were keys, too"
    assert (rows.event_ms[[3, 4]] == -1).all(), "no clock moves by them"


def test_only_what_can_be_a_signature_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []

    class Counting:
        def verify(self, signature: bytes, value: bytes) -> None:
            verified.append(value)

    keys = ReviewKeys(texts_of(WANG))
    monkeypatch.setattr(keys, "_keys", {"wang": Counting()})
    for header in (b"", b"wang", b"wang:", b"wang:" + b"A" * 600, b"li:" + b"A" * 86 + b"==", b"wang:!" + b"A" * 87):
        with pytest.raises(InvalidRecordError):
            keys.verify(b"value", (header,))
    assert verified == []


def test_without_keys_nothing_is_imported_that_verifies() -> None:
    """It would take seven megabytes of each worker."""
    code = "import sys, monitor.partition.task; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
