"""Each verdict is given once, by one reviewer, wherever a command is stopped; the second reviewer is informed."""

import asyncio
import gc
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import NAMES, REVIEWS, address, filled, put, topics
from helpers.review_signing import key_of
from monitor.partition.key_check import partition_of
from oracle.ledger import DAY, T0, event, pending
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Evidence
from streams.cli import app
from streams.consumers.database import Database
from streams.consumers.ledger import writer as keep
from streams.consumers.ledger.catch_up import catch_up
from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.queries.export import lines
from streams.consumers.ledger.queries.lookup import CaseQuery, cases
from streams.consumers.ledger.verify.chains import verify
from streams.kafka.api import TP, Fenced, OutputRecord, PermanentError, TransientError
from streams.ops.control_client import Superseded
from streams.reviews import claim_sender
from streams.reviews import service as module
from streams.reviews.claim_sender import ClaimSender, Write, Writing, writing_to
from streams.reviews.claims import AlreadyReserved, Replace, ReviewedBy
from streams.reviews.interrupted_claims import InterruptedClaims
from streams.reviews.service import ReviewService
from streams.reviews.signatures import SIGNATURE_HEADER, SignedValue, sign
from streams.reviews.validation import ReviewRefused

NOW = T0 + DAY
WANG, LI = ReviewedBy("wang", "looked into"), ReviewedBy("li", "another view")


@pytest.fixture(autouse=True)
def _the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(NOW, NOW + 10**6))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 1_000_000)
    monkeypatch.setattr(module, "_LOOK_S", 0.001)


class Broker:
    """The topics, and the records written to them; ``fail`` raises before or after a write."""

    def __init__(self) -> None:
        self.held = topics(2)
        self.written: list[OutputRecord] = []
        self.fail: Iterator[str] = iter(())
        self._started = 0

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Write]:
        """Replaces `writing_to` a cluster: a writer is fenced by the next one."""
        self._started += 1
        number = self._started

        async def write(records: Sequence[OutputRecord]) -> None:
            if number != self._started:
                raise Superseded("another one is writing")
            await self.write(records)

        yield write

    async def write(self, records: Sequence[OutputRecord]) -> None:
        await asyncio.sleep(0)
        how = next(self.fail, "")
        if how == "before":
            raise TransientError("the broker is away")
        self.written += records
        for out in records:
            self.held.put(out.topic, out.partition, out.value, headers=out.headers)
        if how == "after":
            raise TransientError("the broker went away: whether it was written is not known")

    def reviews(self) -> list[Review]:
        return [review for out in self.written if isinstance(review := codec.read(out.value or b""), Review)]


@asynccontextmanager
async def desk_at(folder: Path, broker: Broker) -> AsyncIterator[ReviewService]:
    """The service as a command uses it, in a process of its own."""
    database = Database(address(folder), "ledger")
    try:
        yield ReviewService(broker.held, database, NAMES, "murmur2", broker.writing)
    finally:
        database.close()


@asynccontextmanager
async def service_at(folder: Path, broker: Broker) -> AsyncIterator[InterruptedClaims]:
    """The service as the ledger service uses it."""
    database = Database(address(folder), "ledger")
    try:
        yield service_of(database, broker, broker.writing)
    finally:
        database.close()


def service_of(database: Database, broker: Broker, writing: Writing) -> InterruptedClaims:
    async def followed() -> None:
        await catch_up(broker.held, database, NAMES)

    return InterruptedClaims(database, ClaimSender(broker.held, database, NAMES, "murmur2", writing, followed))


async def none() -> dict[SignedValue, str]:
    return {}


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
    monkeypatch.setattr(claim_sender, "_TRIES", 1)  # they take turns, and none fences another
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
        service = ReviewService(broker.held, database, NAMES, "murmur2", broker.writing)
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


async def test_what_comes_of_it_is_waited_for(tmp_path: Path) -> None:
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), pending("cwe-q"), pending("cwe-r"))
    async with desk_at(tmp_path, broker) as service:
        await service.begin()
        given = await service.give(["cwe-p", "cwe-q", "cwe-r"], "uphold", WANG)
        upheld, rejected, _ = given.claims
        looks = iter(range(10**6))

        async def rejections() -> dict[SignedValue, str]:
            if next(looks) == 2:
                by = Evidence(review_ids=(upheld.review_id,))
                put(broker.held, 0, event("cwe-f", supersedes="cwe-p", evidence=by))
                # A review of that id for another tenant: ids belong to one tenant.
                put(broker.held, 1, event("cwe-g", "other", evidence=Evidence(review_ids=(rejected.review_id,))))
            return {rejected.signed_value: "nothing_to_change"} if next(looks) > 4 else {}

        outcomes = await service.outcomes(given.claims, 0.5, rejections)
        assert {key: [one.id for one in events] for key, events in outcomes.events.items()} == {"cwe-p": ["cwe-f"]}
        assert outcomes.rejected == {"cwe-q": "nothing_to_change"}
        # The worker rejected it: another verdict can be given.
        second = await service.give(["cwe-q", "cwe-r"], "overturn", LI)
        assert [claim.enforcement_id for claim in second.claims] == ["cwe-q"]
        assert list(second.refused) == ["cwe-r"]
    assert len(broker.written) == 4


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
        with pytest.raises(PermanentError, match="`callwarden topics create` creates it"):
            await service.begin()


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
    monkeypatch.setattr(claim_sender.random, "uniform", lambda *_: 0.0)
    broker = Broker()
    put(broker.held, 0, pending("cwe-p"), pending("cwe-q"))

    async def give(cluster: Contested, event_id: str) -> None:
        database = Database(address(tmp_path), "ledger")
        writing = writing_to(cluster, "ours")  # type: ignore[arg-type]
        service = ReviewService(broker.held, database, NAMES, "murmur2", writing)
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


@pytest.mark.parametrize(
    ("imports", "also_heavy"),
    [
        (
            "streams.cli.consume.reviews, streams.cli.consume.review_session, streams.cli.consume.ledger_reading, "
            "streams.cli.consume.case_format, "
            "streams.kafka.cluster, streams.topics.state_inputs",
            "",
        ),
        (
            "streams.cli.consume.ledger, streams.cli.consume.ledger_reading, streams.cli.consume.case_format, "
            "streams.cli.cluster_session, "
            "monitor.report.standing, streams.consumers.ledger.access, streams.consumers.ledger.queries.lookup, "
            "streams.consumers.ledger.queries.export",
            "aiokafka",
        ),
    ],
)
def test_a_command_of_the_desk_imports_nothing_that_it_does_not_need(imports: str, also_heavy: str) -> None:
    heavy = (
        "numpy structlog alembic psycopg uvicorn prometheus_client rich.live monitor.partition.task monitor.core.shard "
        "monitor.policy.load monitor.decoding.decode monitor.reasons streams.kafka.fetch.columnar_fetch "
        "cryptography fastapi jinja2 sqlalchemy.orm sqlalchemy.ext " + also_heavy
    )
    code = f"import sys, {imports}\nprint(*[name for name in {heavy.split()!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("arguments", "brief"), [(["reviews", "list"], True), (["ledger", "show"], True), (["ledger", "run"], False)]
)
def test_garbage_is_not_collected_during_a_command_of_the_desk(
    arguments: list[str], brief: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a sixth of the time that their imports take."""
    found: list[bool] = []
    monkeypatch.setattr("sys.argv", ["callwarden", *arguments])
    monkeypatch.setattr(app, "build", lambda chosen: lambda prog_name: found.append(gc.isenabled()))
    app.main()
    assert found == [not brief]
    assert gc.isenabled()


def test_settings_are_read_without_a_look_at_their_meanings() -> None:
    """Finding the meanings parses a source file at each start of each command."""
    code = "import ast; ast.parse = None\nfrom streams.settings.load import load; load()"
    subprocess.run([sys.executable, "-c", code], check=True)
