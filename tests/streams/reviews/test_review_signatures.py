"""The signature of a verdict is sent with it, and belongs to what was signed."""

import json
from pathlib import Path

import msgspec
import pytest
from review_broker import WANG, Broker, desk_at, service_at

from helpers.ledger_samples import REVIEWS, address, filled, put
from helpers.review_signing import key_of, texts_of
from oracle.ledger import pending
from schemas import codec
from streams.consumers.ledger.queries.export import lines
from streams.consumers.ledger.queries.lookup import case_of
from streams.consumers.ledger.verify.chains import verify
from streams.kafka.api import TransientError
from streams.reviews.signatures import SIGNATURE_HEADER, SignedValue, sign
from streams.reviews.signers import ReviewSigner, signers_of

pytestmark = pytest.mark.usefixtures("the_present")


async def test_a_signed_verdict_carries_its_header_also_if_the_service_sends_it(tmp_path: Path) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), pending("cwe-q"))
    key = key_of("wang")
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        await service.give(["cwe-p"], "uphold", WANG._replace(key=key))
        broker.fail = iter(["before"])
        with pytest.raises(TransientError):
            await service.give(["cwe-q"], "uphold", WANG._replace(key=key))
    async with service_at(tmp_path, broker) as service:
        await service.finish(0.0)
        await service.finish(60.0)
        await service.finish(120.0)
    assert len(broker.written) == 2
    for out in broker.written:
        assert out.headers == ((SIGNATURE_HEADER, sign(out.value or b"", key)),)
    database = await filled(address(tmp_path), broker.held)
    with database.reading() as connection:
        assert verify(connection, {}).faults == []
        exported = [json.loads(line) for line in lines(connection, tenant=None, with_bytes=False)]
    database.close()
    assert [line["signature_of"] for line in exported if line["topic"] == REVIEWS] == ["wang", "wang"]


async def test_a_copy_without_the_signature_is_another_review(tmp_path: Path) -> None:
    """Anybody who reads the topic may send a copy of a review: that it is rejected says nothing of the review."""
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        [claim] = (await service.give(["cwe-p"], "uphold", WANG._replace(key=key_of("wang")))).claims

        async def copied() -> dict[SignedValue, str]:
            return {SignedValue(claim.value): "unsigned_review: ..."}

        async def itself() -> dict[SignedValue, str]:
            return {claim.signed_value: "bad_signature: ..."}

        assert (await service.outcomes([claim], 0.1, copied)).rejected == {}
        assert (await service.outcomes([claim], 0.1, itself)).rejected == {"cwe-p": "bad_signature: ..."}


async def test_the_keys_that_signed_the_reviews_of_a_case_are_named_and_verified(tmp_path: Path) -> None:
    broker, wang, li = Broker(), key_of("wang"), key_of("li")
    put(broker.held, 0, pending("cwe-p"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        await service.give(["cwe-p"], "uphold", WANG._replace(key=wang))
    [signed] = broker.written
    value = signed.value or b""
    forged = codec.encode(msgspec.structs.replace(broker.reviews()[0], verdict="overturn"))
    for copy, headers in (
        (value, ()),  # without the header
        (value, ((SIGNATURE_HEADER, sign(value, key_of("wang", 1))),)),  # by another key of that name
        (forged, signed.headers),  # the header of another review
        (forged, ((SIGNATURE_HEADER, sign(forged, key_of("mallory"))),)),
        (value, signed.headers),  # sent again
    ):
        broker.held.put(signed.topic, signed.partition, copy, headers=headers)
    database = await filled(address(tmp_path), broker.held)
    with database.reading() as connection:
        case = case_of(connection, "cwe-p")
        assert case is not None
        by_keys = [signers_of(connection, case.reviews, keys) for keys in (None, {}, texts_of(wang), texts_of(li))]
    database.close()
    assert [review.verdict for review in case.reviews] == ["uphold", "overturn"]
    unchecked = [(ReviewSigner("wang", "unchecked"),), tuple(ReviewSigner(n, "unchecked") for n in ("wang", "mallory"))]
    assert by_keys[0] == by_keys[1] == unchecked
    assert by_keys[2] == [
        (ReviewSigner("wang", "verified"), ReviewSigner("", "unsigned"), ReviewSigner("wang", "wrong")),
        (ReviewSigner("wang", "wrong"), ReviewSigner("mallory", "unknown_key")),
    ]
    assert {one.state for some in by_keys[3] for one in some} == {"unknown_key", "unsigned"}
