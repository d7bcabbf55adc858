"""The signature of a verdict is sent with it, and belongs to what was signed."""

import json
from pathlib import Path

import pytest
from review_broker import WANG, Broker, desk_at, service_at

from helpers.ledger_samples import REVIEWS, address, filled, put
from helpers.review_signing import key_of
from oracle.ledger import pending
from streams.consumers.ledger.queries.export import lines
from streams.consumers.ledger.verify.chains import verify
from streams.kafka.api import TransientError
from streams.reviews.signatures import SIGNATURE_HEADER, SignedValue, sign

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
