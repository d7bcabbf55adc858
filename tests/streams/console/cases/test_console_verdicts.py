"""Verdicts: each waits, can be cancelled, is sent once, and ends by what the topics say."""

from functools import partial
from pathlib import Path

import pytest

from helpers.console_harness import ConsoleHarness, console_at, topics
from helpers.console_identity import recorded
from oracle.ledger import DAY, T0, event, pending
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Evidence
from streams.console import four_eyes
from streams.console.cases import claims, sending, verdicts
from streams.console.cases.claims import CaseRefused
from streams.console.cases.verdicts import GivenVerdicts, VerdictRules, WantedVerdict
from streams.console.identity.users import Role, User
from streams.console.tables import CASES, OUTBOX, VERDICTS
from streams.reviews.signatures import SignedValue

LI = User("local:li", "Li", frozenset({Role.REVIEWER}))
WANG = User("local:wang", "Wang", frozenset({Role.REVIEWER}))
RULES = VerdictRules(30_000, 900_000, four_eyes=True)
UPHOLD = WantedVerdict("uphold", "recordings heard")
OVERTURN = WantedVerdict("overturn", "wrong number")
TERMINATE = WantedVerdict("uphold", "recordings heard", "termination")


async def give(
    console: ConsoleHarness, case_id: str, wanted: WantedVerdict, by: User = LI, rules: VerdictRules = RULES
) -> GivenVerdicts:
    work = partial(verdicts.give, ids=[case_id], wanted=wanted, by=by, rules=rules, now_ms=console.now_ms)
    return await console.database.run(work)


async def release(console: ConsoleHarness) -> int:
    work = partial(sending.release_due, now_ms=console.now_ms, sign=lambda value: (("callwarden-signature", b"x"),))
    return await console.database.run(work)


def sent_reviews(console: ConsoleHarness) -> list[Review]:
    return [
        review
        for out in console.written
        if out.topic.endswith("reviews") and isinstance(review := codec.read(out.value or b""), Review)
    ]


async def test_a_verdict_waits_then_is_sent_once_and_takes_effect(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        result = await give(console, "cwe-p", OVERTURN)
        assert list(result.given) == ["cwe-p"]
        assert await release(console) == 0
        assert console.rows(CASES)[0]["queue"] == "cases"
        given_ms = console.now_ms
        console.now_ms += 30_000
        assert await release(console) == 1
        assert await release(console) == 0
        assert console.rows(CASES)[0]["queue"] is None
        await console.send()
        [review] = sent_reviews(console)
        assert (review.verdict, review.enforcement_id, review.reviewer) == ("overturn", "cwe-p", "Li")
        assert review.updated_ms == given_ms
        assert console.rows(VERDICTS)[0]["state"] == "sent"
        behind = Evidence(review_ids=(review.review_id,))
        await console.put(event("cwe-r", kind="reversal", reverses="cwe-p", evidence=behind, decided_ms=given_ms))
        assert console.rows(VERDICTS)[0]["state"] == "effective"
        assert (console.rows(CASES)[0]["status"], console.rows(CASES)[0]["verdict"]) == ("reversed", None)


async def test_a_verdict_survives_kills_at_every_step(tmp_path: Path) -> None:
    held = topics()
    async with console_at(tmp_path, held) as console:
        await console.put(pending("cwe-p"))
        await give(console, "cwe-p", OVERTURN)
    for _ in range(2):
        async with console_at(tmp_path, held) as console:
            console.now_ms += 60_000
            await console.follow()
            await release(console)
    async with console_at(tmp_path, held) as console:
        await console.follow()
        await console.send()
        await console.send()
    reviews = [value for tp, log in held.logs.items() if tp.topic == "callwarden.reviews" for value in log]
    assert len(reviews) == 1


async def test_a_cancelled_verdict_is_never_sent(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        number = (await give(console, "cwe-p", OVERTURN)).given["cwe-p"]
        await console.database.run(partial(verdicts.cancel, number=number, by=LI, now_ms=console.now_ms))
        console.now_ms += DAY
        assert await release(console) == 0
        assert console.rows(VERDICTS)[0]["state"] == "cancelled"
        assert console.rows(CASES)[0]["verdict"] is None
        assert list((await give(console, "cwe-p", OVERTURN)).given) == ["cwe-p"]


async def test_a_ban_that_needs_approval_is_withdrawn_by_its_giver_alone(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        number = (await give(console, "cwe-p", UPHOLD)).given["cwe-p"]
        with pytest.raises(CaseRefused, match="proposal_not_yours"):
            await console.database.run(partial(verdicts.cancel, number=number, by=WANG, now_ms=console.now_ms))
        assert console.rows(VERDICTS)[0]["state"] == "approval"
        await console.database.run(partial(verdicts.cancel, number=number, by=LI, now_ms=console.now_ms))
        assert list((await give(console, "cwe-p", UPHOLD)).given) == ["cwe-p"]


async def test_a_ban_that_nobody_approves_in_time_lets_its_case_go(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p", review_by_ms=T0 + 90 * DAY))
        number = (await give(console, "cwe-p", UPHOLD)).given["cwe-p"]
        console.now_ms += four_eyes.LASTS_MS - 1
        assert await release(console) == 0
        assert console.rows(VERDICTS)[0]["state"] == "approval"
        console.now_ms += 1
        work = partial(verdicts.approve, number=number, by=WANG, reason="", rules=RULES, now_ms=console.now_ms)
        with pytest.raises(CaseRefused, match="proposal_expired"):
            await console.database.run(work)
        assert await release(console) == 0
        assert console.rows(VERDICTS)[0]["state"] == "declined"
        assert console.rows(CASES)[0]["verdict"] is None
        assert list((await give(console, "cwe-p", UPHOLD, WANG)).given) == ["cwe-p"]


async def test_a_sent_verdict_cannot_be_cancelled(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        number = (await give(console, "cwe-p", OVERTURN)).given["cwe-p"]
        console.now_ms += 30_000
        await release(console)
        with pytest.raises(CaseRefused, match="verdict_over"):
            await console.database.run(partial(verdicts.cancel, number=number, by=LI, now_ms=console.now_ms))


async def test_of_two_people_one_has_the_case(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        claim = partial(claims.claim, ids=["cwe-p"], now_ms=console.now_ms, last_ms=900_000)
        assert await console.database.run(partial(claim, by=LI)) == ["cwe-p"]
        assert await console.database.run(partial(claim, by=WANG)) == []
        refused = (await give(console, "cwe-p", OVERTURN, WANG)).refused["cwe-p"]
        assert isinstance(refused, CaseRefused)
        assert (refused.key, refused.values) == ("claimed", {"name": "Li"})
        console.now_ms += 900_000  # the claim has expired
        assert list((await give(console, "cwe-p", OVERTURN, WANG)).given) == ["cwe-p"]
        refused = (await give(console, "cwe-p", OVERTURN, LI)).refused["cwe-p"]
        assert isinstance(refused, CaseRefused)
        assert refused.key == "verdict_exists"
        assert len(console.rows(VERDICTS)) == 1


async def test_a_ban_needs_a_second_person(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        number = (await give(console, "cwe-p", UPHOLD)).given["cwe-p"]
        console.now_ms += 60_000
        assert await release(console) == 0
        agree = partial(verdicts.approve, number=number, reason="heard, too", rules=RULES, now_ms=console.now_ms)
        with pytest.raises(CaseRefused, match="proposal_oneself"):
            await console.database.run(partial(agree, by=LI))
        await console.database.run(partial(agree, by=WANG))
        assert await release(console) == 0
        console.now_ms += 30_000
        assert await release(console) == 1
        await console.send()
        [review] = sent_reviews(console)
        assert (review.reviewer, review.verdict) == ("Li + Wang", "uphold")


async def test_a_declined_ban_waits_again(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        number = (await give(console, "cwe-p", UPHOLD)).given["cwe-p"]
        work = partial(verdicts.decline, number=number, by=WANG, reason="not yet", now_ms=console.now_ms)
        await console.database.run(work)
        assert (console.rows(CASES)[0]["verdict"], console.rows(CASES)[0]["queue"]) == (None, "cases")
        assert list((await give(console, "cwe-p", TERMINATE, WANG, RULES._replace(claim_for_ms=0))).refused) == [
            "cwe-p"
        ]
        assert list((await give(console, "cwe-p", TERMINATE)).given) == ["cwe-p"]
        assert console.rows(VERDICTS)[-1]["state"] == "waiting"


async def test_what_is_decided_otherwise_meanwhile_withdraws_the_verdict(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        await give(console, "cwe-p", OVERTURN)
        await console.put(event("cwe-l", kind="lapse", reverses="cwe-p", decided_ms=T0 + 7 * DAY))
        assert console.rows(VERDICTS)[0]["state"] == "withdrawn"
        console.now_ms += 30_000
        assert await release(console) == 0
        assert console.rows(CASES)[0]["status"] == "lapsed"


async def test_a_rejected_verdict_is_shown_and_the_case_waits_again(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        await give(console, "cwe-p", OVERTURN)
        console.now_ms += 30_000
        await release(console)
        await console.send()
        [row] = console.rows(VERDICTS)
        copied = {SignedValue(row["value"]): "unsigned_review: no signature"}
        assert await console.database.run(partial(sending.end_rejected, rejected=copied, now_ms=console.now_ms)) == 0
        rejected = {SignedValue(row["value"], b"x"): "bad_signature: no base64"}
        assert await console.database.run(partial(sending.end_rejected, rejected=rejected, now_ms=console.now_ms)) == 1
        [row] = console.rows(VERDICTS)
        assert (row["state"], row["why"]) == ("rejected", "bad_signature: no base64")
        assert (console.rows(CASES)[0]["queue"], console.rows(CASES)[0]["verdict"]) == ("cases", None)


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (WantedVerdict("overturn", "  "), "expected neither to be empty"),
        (WantedVerdict("approve", "licence seen"), "not an application that waits"),
        (WantedVerdict("overturn", "x" * 5_000), "reason_too_long"),
    ],
)
async def test_a_verdict_without_effect_is_refused(tmp_path: Path, wanted: WantedVerdict, why: str) -> None:
    async with console_at(tmp_path) as console:
        await console.put(pending("cwe-p"))
        result = await give(console, "cwe-p", wanted)
        assert why in str(result.refused["cwe-p"])
        assert console.rows(VERDICTS) == []
        assert console.rows(OUTBOX) == []
        assert console.rows(CASES)[0]["verdict"] is None


async def test_a_verdict_on_an_application_is_an_action_of_its_own(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        waits = {"kind": "admission_review", "behaviour": "application_review", "tier": None, "review_by_ms": None}
        evidence = Evidence(application_ids=("app-1",))
        await console.put(*(pending(name, **waits, evidence=evidence) for name in ("cwe-a", "cwe-b")), event("cwe-w"))
        await give(console, "cwe-a", WantedVerdict("approve", "licence seen"))
        await give(console, "cwe-b", WantedVerdict("reject", "no licence"))
        await give(console, "cwe-w", OVERTURN)
        given = [(each["action"], each["enforcement_id"]) for each in recorded(console.database)]
        assert given == [("admission_decided", "cwe-a"), ("admission_decided", "cwe-b"), ("verdict_given", "cwe-w")]


async def test_a_final_decision_can_be_overturned_and_an_overturned_one_not(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        await console.put(event("cwe-w"))
        assert "final already" in str((await give(console, "cwe-w", UPHOLD)).refused["cwe-w"])
        assert list((await give(console, "cwe-w", OVERTURN)).given) == ["cwe-w"]
        await console.put(event("cwe-r", kind="reversal", reverses="cwe-w"))
        assert "nothing to change" in str((await give(console, "cwe-w", OVERTURN)).refused["cwe-w"])
