"""Which violations count towards an escalation and what a verdict does to it: as the domain then decides."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from helpers.console_harness import ConsoleHarness, console_at
from helpers.shard_harness import ShardHarness, escalation, rule
from helpers.shard_samples import MINUTE, T0
from helpers.thorough import thorough
from schemas.inputs import Review
from schemas.outputs import Enforcement
from streams.console.cases.case_view import case_view
from streams.console.cases.consequences import Consequence, consequences_of
from streams.console.cases.escalations import EscalationEffect, TenantViolations, tenant_violations
from streams.console.tables import CASES

ESCALATIONS = (
    escalation("strikes"),
    escalation("calls", at_least=2, window="90m", once_per_rule=True),
    escalation("at-once", at_least=6, window="3h", tier="severe", mode="enforce"),
)


class Desk:
    """A shard, and a console that follows its decisions."""

    def __init__(self, console: ConsoleHarness, *escalations: dict[str, object]) -> None:
        rules = [rule("a", window="5m", cooldown="5m"), rule("b", mode="review", behaviour="no_consent")]
        self.shard = ShardHarness(rules=rules, escalations=list(escalations), defaults={"review_within": "2h"})
        self.console, self.minute, self._reviews, self.compared = console, 0.5, 0, 0

    @property
    def now_ms(self) -> int:
        return T0 + round(self.minute * MINUTE)

    async def later(self, minutes: float = 1) -> list[Enforcement]:
        """Decide up to some minutes later, and have the console read it."""
        self.minute += minutes
        decided = self.shard.until(self.minute)
        for event in decided:
            await self.console.put(event)
            self.check_ahead(event)
        return decided

    async def review(self, verdict: str, of: str) -> list[Enforcement]:
        """Review a decision now; what is decided at that instant."""
        self._reviews += 1
        self.shard.review(self.minute, verdict, of, f"v{self._reviews}")
        review = Review(f"v{self._reviews}", of, "acme", verdict, "ops", "", self.now_ms)  # type: ignore[arg-type]
        await self.console.put(review)
        return await self.later()

    def record(self) -> TenantViolations:
        with self.console.database.reading() as connection:
            return tenant_violations(connection, "acme", self.shard.shard.policy)

    def consequences(self, case_id: str) -> dict[str, Consequence]:
        with self.console.database.reading() as connection:
            view = case_view(connection, case_id)
            assert view is not None
            return {one.verdict: one for one in consequences_of(view, self.record(), self.now_ms)}

    def standing(self) -> list[dict[str, object]]:
        return [row for row in self.console.rows(CASES) if row["status"] in ("pending", "final")]

    def check_ahead(self, event: Enforcement) -> None:
        """Compare the counts in an event that records a violation with those of the console at that instant."""
        if ahead := event.data.escalations_ahead:
            record, at_ms = self.record(), event.data.decided_ms
            counted = {each.id: record.counted(each, at_ms) for each in record.policy.escalations}
            assert {each.rule_id: each.violations for each in ahead} == counted
            self.compared += 1

    def check_counts(self) -> None:
        """Compare what counts with the domain."""
        shard = self.shard.shard
        counted = {one.id: n for _, one, n in shard.decisions.escalation_counts(self.now_ms)}
        record, tenant = self.record(), shard.tenant_records.known(0)
        assert record.stopped == (tenant is not None and bool(tenant.sanctions))
        if not record.stopped:
            for one in record.policy.escalations:
                assert record.counted(one, self.now_ms) == counted.get(one.id, 0), one.id


def effects(one: Consequence, outcome: str) -> list[EscalationEffect]:
    return [each for each in one.escalations if each.outcome == outcome]


async def test_the_third_violation_escalates_and_its_overturn_reverses_the_escalation(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        desk = Desk(console, escalation())
        for name in ("f1", "f2", "f3"):
            desk.shard.finding(desk.minute, name=name)
            await desk.later()
        [first, *_] = [row for row in desk.standing() if row["kind"] == "warning"]
        [case] = [row for row in desk.standing() if row["status"] == "pending"]
        [effect] = desk.consequences(str(first["id"]))["overturn"].escalations
        assert (effect.outcome, effect.counted, effect.case_id, effect.kind) == (
            "reverses", 2, case["id"], "termination",
        )  # fmt: skip
        assert [one.outcome for one in desk.consequences(str(case["id"]))["overturn"].escalations] == ["stays_used"]
        assert desk.consequences(str(case["id"]))["uphold"].violations == 4
        await desk.review("uphold", str(case["id"]))
        [effect] = desk.consequences(str(first["id"]))["overturn"].escalations
        assert (effect.outcome, effect.counted) == ("unsupported", 2), "a final one is not reversed by itself"


async def test_an_uphold_shows_how_many_violations_it_makes(tmp_path: Path) -> None:
    async with console_at(tmp_path) as console:
        desk = Desk(console, escalation(), escalation("severe", at_least=2, tier="severe", mode="enforce"))
        desk.shard.likely_ban(desk.minute, "f0")
        await desk.later()
        [case] = desk.standing()
        uphold = desk.consequences(str(case["id"]))["uphold"]
        assert [(one.outcome, one.counted) for one in uphold.escalations] == [("counts", 1), ("counts", 1)]
        assert (uphold.violations, uphold.refunds) == (1, "frozen")
        desk.shard.finding(desk.minute, name="f1")
        await desk.later()
        uphold = desk.consequences(str(case["id"]))["uphold"]
        assert [one.outcome for one in uphold.escalations] == ["counts", "stopped"], "it is a ban itself"


@pytest.mark.parametrize("seeds", thorough([[1, 3, 4], range(10)], 1), ids=str)
async def test_counts_and_effects_are_what_the_domain_decides(seeds: Sequence[int], tmp_path: Path) -> None:
    happened: set[str] = set()
    for seed in seeds:
        print(f"seed {seed}")
        (folder := tmp_path / str(seed)).mkdir()
        happened |= await lived_through(seed, folder)
    assert happened >= {"counts", "escalates", "stopped", "reverses", "unsupported", "stays_used"}


async def lived_through(seed: int, folder: Path) -> set[str]:
    """Random records and verdicts; each verdict does what was shown. Returns the outcomes."""
    rng, happened = random.Random(seed), set[str]()
    async with console_at(folder) as console:
        desk = Desk(console, *rng.sample(ESCALATIONS, rng.choice((1, 2, 3))))
        for step in range(30):
            acts = ("finding", "likely", "calls", "review", "wait")
            [act] = rng.choices(acts, (5, 1, 2, 4, 0.5))
            match act:
                case "finding":
                    desk.shard.finding(desk.minute, name=f"f{step}")
                case "likely":
                    desk.shard.likely_ban(desk.minute, f"f{step}")
                case "calls":
                    desk.shard.short_calls(*(desk.minute + each / 10 for each in range(rng.choice((2, 4)))))
                case "wait":
                    await desk.later(rng.choice((30, 130)))
                case "review" if found := desk.standing():
                    happened |= await reviewed(desk, rng, rng.choice(found))
            await desk.later(rng.choice((1, 5)))
            desk.check_counts()
        assert desk.compared
    return happened


async def reviewed(desk: Desk, rng: random.Random, row: dict[str, object]) -> set[str]:
    """Give a verdict, and compare what it was to do with what is decided. Returns the outcomes."""
    shown = desk.consequences(str(row["id"]))
    verdict = rng.choice([name for name in shown if name == "overturn" or row["status"] == "pending"])
    predicted, at_ms = shown[verdict], desk.now_ms
    decided = [each for each in await desk.review(verdict, str(row["in_force_id"])) if each.data.decided_ms == at_ms]
    escalated = {each.data.rule_id for each in decided if each.data.behaviour == "repeat_violation" and not
                 each.data.reverses and not each.data.supersedes}  # fmt: skip
    ended = {each.data.reverses for each in decided if each.data.reverses} - {row["in_force_id"]}
    assert {one.escalation.id for one in effects(predicted, "escalates")} == escalated
    assert {one.case_id for one in effects(predicted, "reverses")} == ended
    return {one.outcome for one in predicted.escalations}
