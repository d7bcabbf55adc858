"""A verdict is a record where the judge looks for it; what cannot be reviewed is refused."""

import asyncio
from pathlib import Path

import pytest
from review_broker import LI, NOW, WANG, Broker, desk_at

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import REVIEWS, address, filled, put
from monitor.partition.partitioner import partition_of
from oracle.ledger import event, pending
from schemas.outputs import Evidence
from streams.consumers.ledger import writer as keep
from streams.consumers.ledger.entries import EntryFields
from streams.kafka.api import PermanentError, TransientError
from streams.reviews.signatures import SignedValue
from streams.reviews.validation import ReviewRefused

pytestmark = pytest.mark.usefixtures("the_present")


async def test_a_verdict_is_a_record_where_the_judge_looks_for_it(tmp_path: Path) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p", "租户甲"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        given = await service.give(["cwe-p"], "uphold", WANG)
    [out], [record] = broker.written, broker.reviews()
    assert given.refused == {}
    assert (out.topic, out.key) == (REVIEWS, "租户甲".encode())
    assert out.partition == partition_of("租户甲".encode(), 2, "murmur2")
    assert (record.enforcement_id, record.tenant_id, record.verdict) == ("cwe-p", "租户甲", "uphold")
    assert (record.reviewer, record.reason) == WANG[:2]
    assert NOW <= record.updated_ms < NOW + 10**6


async def test_what_a_release_before_this_one_could_not_read_can_be_reviewed(tmp_path: Path, monkeypatch) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"))
    with monkeypatch.context() as before:
        before.setattr(keep, "fields_of_event", lambda value: EntryFields(fault="of tomorrow"))
        (await filled(address(tmp_path), broker.held)).close()
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        given = await service.give(["cwe-p"], "uphold", WANG)
    assert (given.refused, len(given.claims)) == ({}, 1)


async def test_what_comes_of_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), pending("cwe-q"), pending("cwe-r"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        given = await service.give(["cwe-p", "cwe-q", "cwe-r"], "uphold", WANG)
        upheld, rejected, _ = given.claims
        looks, loop = iter(range(10**6)), asyncio.get_running_loop()
        now_s = loop.time()

        async def rejections() -> dict[SignedValue, str]:
            if next(looks) == 2:
                by = Evidence(review_ids=(upheld.review_id,))
                put(broker.held, 0, event("cwe-f", supersedes="cwe-p", evidence=by))
                # A review of that id for another tenant: ids belong to one tenant.
                put(broker.held, 1, event("cwe-g", "other", evidence=Evidence(review_ids=(rejected.review_id,))))
            if next(looks) > 4:
                # The time to wait is over, however long these looks took: nothing comes of the third verdict.
                monkeypatch.setattr(loop, "time", lambda: now_s + 3_600)
                return {rejected.signed_value: "nothing_to_change"}
            return {}

        outcomes = await service.outcomes(given.claims, 600, rejections)
        assert {key: [one.id for one in events] for key, events in outcomes.events.items()} == {"cwe-p": ["cwe-f"]}
        assert outcomes.rejected == {"cwe-q": "nothing_to_change"}
        # The worker rejected it: another verdict can be given.
        second = await service.give(["cwe-q", "cwe-r"], "overturn", LI)
        assert [claim.enforcement_id for claim in second.claims] == ["cwe-q"]
        assert list(second.refused) == ["cwe-r"]
    assert len(broker.written) == 4


async def test_what_cannot_be_reviewed_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    broker = Broker()
    by = Evidence(review_ids=("r1",))
    put(
        broker.held, 0,
        event("cwe-w"), event("cwe-r", kind="reversal", reverses="cwe-w"),
        pending("cwe-p"), event("cwe-f", supersedes="cwe-p", evidence=by),
        pending("cwe-old", review_by_ms=NOW - 1),
    )  # fmt: skip
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        given = await service.give(["cwe-w", "cwe-r", "cwe-old", "cwe-x", "cwe-f"], "uphold", WANG)
        assert {event_id: str(why).partition(" UTC")[0] for event_id, why in given.refused.items()} == {
            "cwe-w": "cwe-w was reversed at 2026-03-02 00:00",
            "cwe-r": "cwe-r is a reversal of cwe-w and cannot be reviewed",
            "cwe-old": "cwe-old could be reviewed until 2026-03-02 23:59:59",
            "cwe-x": "cwe-x: no such decision in the ledger; expected an id as `callwarden reviews list` shows it",
            "cwe-f": "cwe-f is final already, upheld; it can be overturned",
        }
        assert broker.written == []
        assert all(isinstance(why, ReviewRefused) for why in given.refused.values())
        # Either id of an upheld decision is accepted.
        assert len((await service.give(["cwe-p"], "overturn", WANG)).claims) == 1
        assert list((await service.give(["cwe-f"], "overturn", LI)).refused) == ["cwe-f"]
    assert broker.reviews()[0].enforcement_id == "cwe-f"


async def test_a_broker_that_is_away_is_reported_at_once(tmp_path: Path) -> None:
    broker = Broker()
    broker.held.away = True
    async with desk_at(tmp_path, broker) as service:
        with pytest.raises(TransientError, match="the broker is away"):
            await service.begin()


async def test_without_the_topic_nothing_is_claimed_for_good(tmp_path: Path) -> None:
    async with desk_at(tmp_path, Broker()) as service:
        service._topics = FakeTopics()
        with pytest.raises(PermanentError, match="`callwarden topics create` creates them"):
            await service.begin()


async def test_a_ledger_that_is_up_to_date_is_looked_at_and_nothing_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), event("cwe-w"))
    (await filled(address(tmp_path), broker.held)).close()
    broker.held.readers = 0
    asked: list[str] = []

    def count(name: str) -> None:
        ask = getattr(broker.held, name)

        def counted(*args: object) -> object:
            asked.append(name)
            return ask(*args)

        monkeypatch.setattr(broker.held, name, counted)

    for name in ("partitions", "ends", "starts", "cluster_id", "read"):
        count(name)
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
    assert (broker.held.readers, asked) == (0, ["partitions", "ends", "cluster_id", "ends"])
    put(broker.held, 1, pending("cwe-q"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        given = await service.give(["cwe-q"], "uphold", WANG)
    assert (broker.held.readers, len(given.claims)) == (1, 1), "what is new is read, once"


async def test_a_verdict_takes_effect_after_as_long_as_decisions_come_late(tmp_path: Path) -> None:
    broker = Broker()
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        assert await service.delay_ms() is None
        for number, late_ms in enumerate((5, 600_000, 601_000, 602_000, 10**9)):
            put(broker.held, number % 2, event(f"cwe-{number}", decided_ms=broker.held.now_ms - late_ms))
        await service.begin()
        assert await service.delay_ms() == 601_000
