"""Each verdict is given once, by one reviewer, wherever a command is stopped; the second reviewer is informed."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from review_broker import LI, WANG, Broker, context_of, desk_at, service_at

from helpers.ledger_samples import address, put
from oracle.ledger import T0, event, pending
from schemas.outputs import Evidence
from streams.consumers.database import Database
from streams.consumers.ledger.queries.lookup import CaseQuery, cases
from streams.kafka.api import TP, Fenced, TransientError
from streams.kafka.outputs import OutputRecord
from streams.reviews import sender_context
from streams.reviews import service as module
from streams.reviews.reservations import AlreadyReserved, Replace, ReviewedBy
from streams.reviews.sender_context import writing_to
from streams.reviews.service import ReviewService
from streams.reviews.signatures import SignedValue

pytestmark = pytest.mark.usefixtures("the_present")


async def test_the_second_reviewer_learns_who_decided_what_and_when(tmp_path: Path) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"))
    async with desk_at(tmp_path, broker) as one, desk_at(tmp_path, broker) as two:
        await one.begin()
        await one.give(["cwe-p"], "uphold", ReviewedBy("wang 13812345678", "looked into"))
        await two.begin()
        refused = (await two.give(["cwe-p"], "overturn", LI)).refused["cwe-p"]
        again = (await one.give(["cwe-p"], "uphold", WANG)).refused["cwe-p"]
    assert isinstance(refused, AlreadyReserved)
    assert str(refused) == (
        "cwe-p: wang •••••••••78 decided to uphold it, 2026-03-03 00:00 UTC (looked into); "
        "it was sent, and no decision has followed yet"
    )
    assert isinstance(again, AlreadyReserved)
    assert len(broker.written) == 1


async def test_of_reviewers_at_once_one_decides_each_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    monkeypatch.setattr(sender_context, "_TRIES", 1)  # they take turns, and none fences another
    broker = Broker()
    ids = [f"cwe-{number}" for number in range(30)]
    put(broker.held, 0, *(pending(each) for each in ids))

    async def decide(who: str) -> dict[str, bool]:
        async with desk_at(tmp_path, broker) as service:
            await service.begin()
            won = {}
            for each in rng.sample(ids, len(ids)):
                given = await service.give([each], rng.choice(("uphold", "overturn")), ReviewedBy(who, "why"))
                won[each] = bool(given.claims)
            return won

    wins = await asyncio.gather(*(decide(who) for who in ("wang", "li", "zhao")))
    assert all(sum(won[each] for won in wins) == 1 for each in ids)
    by_case: dict[str, set[tuple[str, str]]] = {}
    for record in broker.reviews():
        by_case.setdefault(record.enforcement_id, set()).add((record.verdict, record.reviewer))
    assert {each: len(said) for each, said in by_case.items()} == dict.fromkeys(ids, 1)
    assert len(broker.written) == len(ids)


@pytest.mark.parametrize("how", ["before", "after"])
async def test_an_interrupted_verdict_is_not_replaced_and_the_second_reviewer_learns_of_it(
    tmp_path: Path, how: str
) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"))
    broker.fail = iter([how])
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        with pytest.raises(TransientError):
            await service.give(["cwe-p"], "uphold", WANG)
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        refused = (await service.give(["cwe-p"], "overturn", LI)).refused["cwe-p"]
    assert isinstance(refused, AlreadyReserved)
    assert str(refused).endswith("it is not sent yet: a running `callwarden ledger run` sends it")
    assert len(broker.written) == (how == "after"), "a command sends its own verdicts only"


async def test_many_are_overturned_wherever_the_command_was_stopped_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 7)
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    broker = Broker()
    for number in range(60):
        make = rng.choice((event, pending))
        put(broker.held, number % 2, make(f"cwe-{number}", rule_id="broken", decided_ms=T0 + number))
    put(broker.held, 0, event("cwe-other"), event("cwe-late", rule_id="broken", decided_ms=T0 + 60))
    wanted = CaseQuery(rule="broken", from_ms=T0, to_ms=T0 + 60)
    stops = 0
    while True:
        broker.fail = iter(["", rng.choice(("before", "after"))] if stops < 8 else [])
        database = Database(address(tmp_path), "ledger")
        service = ReviewService(context_of(database, broker, broker.writing))
        try:
            await service.begin()
            with database.reading() as connection:
                ids = [case.in_force.id for case in cases(connection, wanted) if case.stands]
            await service.give(ids, "overturn", WANG)
        except TransientError:
            stops += 1
        else:
            break
        finally:
            database.close()
    assert stops > 3
    broker.fail = iter(())
    async with service_at(tmp_path, broker) as service:
        await service.finish(0)
        await service.finish(100)
    assert sorted(record.enforcement_id for record in broker.reviews()) == sorted(f"cwe-{n}" for n in range(60))


async def test_a_verdict_is_replaced_by_who_has_seen_it_and_once_nothing_can_come_of_it(tmp_path: Path) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), pending("cwe-q"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        first, _ = (await service.give(["cwe-p", "cwe-q"], "uphold", WANG)).claims
        seen = {"cwe-p": first}
        early = (await service.give(["cwe-p"], "overturn", LI, again=Replace(seen, 60_000))).refused["cwe-p"]
        assert str(early) == (
            "cwe-p: wang decided to uphold it, 2026-03-03 00:00 UTC (looked into); it was sent, and no decision "
            "has followed yet; --replace can replace it from 2026-03-03 00:01 UTC on, once you have seen it"
        )
        unseen = await service.give(["cwe-q"], "overturn", LI, again=Replace(seen, 0))
        assert list(unseen.refused) == ["cwe-q"]
        replaced = await service.give(["cwe-p"], "overturn", LI, again=Replace(seen, 0))
        assert [(one.verdict, one.reviewer) for one in replaced.claims] == [("overturn", "li")]
        # A reviewer who has seen wang's verdict, and not li's that replaced it, does not replace that.
        late = await service.give(["cwe-p"], "uphold", ReviewedBy("zhao", "why"), again=Replace(seen, 0))
        assert list(late.refused) == ["cwe-p"]
    assert [(each.enforcement_id, each.reviewer) for each in broker.reviews()] == [
        ("cwe-p", "wang"), ("cwe-q", "wang"), ("cwe-p", "li")
    ]  # fmt: skip


async def test_a_rejection_after_the_command_had_ended_makes_room_for_another_verdict(tmp_path: Path) -> None:
    broker = Broker()
    put(broker.held, 0, *(pending(f"cwe-{each}") for each in "abc"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        decided, rejected, _ = (await service.give(["cwe-a", "cwe-b", "cwe-c"], "uphold", WANG)).claims
        by = Evidence(review_ids=(decided.review_id,))
        put(broker.held, 0, event("cwe-f", supersedes="cwe-a", evidence=by))
    letters = TP("out.dead-letter", 0)
    asked: list[tuple[int, dict[TP, int]]] = []

    class Letters:
        async def read_new(self) -> dict[SignedValue, str]:
            found = {rejected.value: "nothing_to_change", decided.value: "duplicate", b"another": "too late"}
            return {SignedValue(value): why for value, why in found.items()}

        def positions(self) -> dict[TP, int]:
            return {letters: 3}

    async def since(at_ms: int, searched: Mapping[TP, int]) -> Letters:
        asked.append((at_ms, dict(searched)))
        return Letters()

    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        [settled] = await service.settle(since)
        assert (settled.enforcement_id, settled.withdrawn) == ("cwe-b", "nothing_to_change")
        assert asked == [(rejected.claimed_ms, {})]
        assert await service.settle(since) == []
        assert asked[-1][1] == {letters: 3}, "what was searched is not read again"
        second = await service.give(["cwe-b", "cwe-c"], "overturn", LI)
        assert ([one.enforcement_id for one in second.claims], list(second.refused)) == (["cwe-b"], ["cwe-c"])


class Contested:
    """A cluster at which others write with the same transactional id, that many times."""

    def __init__(self, times: int) -> None:
        self.times, self.ids, self.written = times, set[str](), list[OutputRecord]()

    def writer(self, transactional_id: str) -> "Contested":
        self.ids.add(transactional_id)
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def commit(self, records: Sequence[OutputRecord], offsets: object) -> int:
        self.times -= 1
        if self.times >= 0:
            raise Fenced
        self.written += records
        return 0


async def test_a_reviewer_who_was_displaced_tries_again_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_context.random, "uniform", lambda *_: 0.0)
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), pending("cwe-q"))

    async def give(cluster: Contested, event_id: str) -> None:
        database = Database(address(tmp_path), "ledger")
        writing = writing_to(cluster, "ours")  # type: ignore[arg-type]
        service = ReviewService(context_of(database, broker, writing))
        try:
            await service.begin()
            await service.give([event_id], "uphold", WANG)
        finally:
            database.close()

    twice = Contested(2)
    await give(twice, "cwe-p")
    assert len(twice.written) == 1
    assert all(each.startswith("ours-reviews") for each in twice.ids), "it shares no id with the operators' commands"
    with pytest.raises(TransientError, match="another operator wrote a command"):
        await give(Contested(10**6), "cwe-q")
