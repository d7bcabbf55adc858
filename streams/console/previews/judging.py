"""Compares what two policies decide on the same records: the result of a preview, at most a few megabytes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from monitor.adapters.errors import EXCLUSIONS
from monitor.policy.describe import rule_names
from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from monitor.text.bilingual import Bilingual
from monitor.text.masking import mask_text
from monitor.whatif import backtest
from monitor.whatif.backtest import SELECTIONS, TIERS, Change, Channel, PolicyOutcome, Truth
from streams.console.previews.result import (
    ChangedTenant,
    ComparedPolicy,
    PreviewResult,
    RecordCounts,
    RejectedLine,
    RuleCount,
    RuleStep,
    ScoreRow,
    SideScore,
    TierCount,
    Tiers,
)

MOST_TENANTS: Final = 5_000
_MOST_STEPS: Final = 12
"""Rules of one tenant that are kept with their reasons."""
_MOST_RULES: Final = 500
_MOST_REASONS: Final = 8
_MOST_LINES: Final = 20
_LONGEST_REASON: Final = 1_000
_LONGEST_LINE: Final = 300
_MOST_BYTES: Final = 3_000_000
"""Of the tenants that change; the other parts of a result are small."""
_CHANNELS: Final[tuple[Channel, ...]] = ("final", "pending", "shadow")


@dataclass(frozen=True, slots=True)
class PolicyJudgement:
    """What one policy decided on the records."""

    outcome: PolicyOutcome
    alerts: dict[str, int]
    records: RecordCounts
    rule_names: dict[str, Bilingual]


def judgement_by(policy: Policy, result: Outcome, *, of_file: bool = False) -> PolicyJudgement:
    """The part of a replay's outcome that is compared; the rest of the outcome can be freed.

    ``of_file``: a rejected record has a line that a person can look up.
    """
    alerts = Counter(rule for rule, _ in {(alert.rule_id, alert.alert_id) for alert in result.alerts})
    summary = result.summary
    reasons = Counter(each.reason.partition(":")[0] for each in result.rejected)
    records = RecordCounts(
        read=summary.read,
        accepted=summary.accepted,
        rejected=summary.rejected,
        duplicates=summary.duplicates,
        late=summary.late,
        tenants=summary.tenants,
        last_ms=summary.last_event_ms,
        rejected_by=[(reason[:100], count) for reason, count in reasons.most_common(_MOST_REASONS)],
        first_rejected=list(_first_rejected(result)) if of_file else [],
    )
    return PolicyJudgement(backtest.outcome_of(result, policy), dict(alerts), records, rule_names(policy))


def _first_rejected(result: Outcome) -> Iterable[RejectedLine]:
    """The first rejected lines, without those that a mapping leaves out on purpose."""
    faulty = (each for each in result.rejected if each.reason.partition(":")[0] not in EXCLUSIONS)
    for each in islice(faulty, _MOST_LINES):
        yield RejectedLine(each.line, mask_text(each.reason[:_LONGEST_REASON])[:_LONGEST_LINE])


def compare(
    before: PolicyJudgement,
    after: PolicyJudgement,
    truths: Mapping[str, Truth],
    truth: str | None,
    since_ms: int | None = None,
) -> PreviewResult:
    """The result of a preview. ``truth``: where the ``truths`` are from."""
    changed = backtest.changes(before.outcome, after.outcome)
    kept = list(_bounded(changed))
    new = sum(not any(change.before.values()) for change in changed)
    gone = sum(not any(change.after.values()) for change in changed)
    return PreviewResult(
        before=_name(before),
        after=_name(after),
        records=after.records,
        tiers=_tier_counts(before.outcome, after.outcome),
        changed=kept,
        changed_total=len(changed),
        new_total=new,
        gone_total=gone,
        rules=_rule_counts(before, after),
        scores=_scores(before.outcome, after.outcome, truths) if truths else [],
        truth=truth if truths else None,
        truth_tenants=len(truths),
        since_ms=since_ms,
        rule_names=before.rule_names | after.rule_names,
    )


def _name(judged: PolicyJudgement) -> ComparedPolicy:
    ref = judged.outcome.policy
    return ComparedPolicy(ref.id, ref.version, ref.sha256)


def _bounded(changed: Iterable[Change]) -> Iterable[ChangedTenant]:
    """The tenants that change, the most severe first, as many as fit."""
    size = 0
    for number, change in enumerate(changed):
        steps = [
            RuleStep(
                rule_id=step.rule_id,
                channel=step.channel,
                appears=step.appears,
                tier=step.first.tier,
                decided_ms=step.first.decided_ms,
                zh=step.first.reason.zh[:_LONGEST_REASON],
                en=step.first.reason.en[:_LONGEST_REASON],
            )
            for step in change.rules[:_MOST_STEPS]
        ]
        more = max(0, len(change.rules) - _MOST_STEPS)
        before: Tiers = {channel: change.before[channel] for channel in _CHANNELS}
        after: Tiers = {channel: change.after[channel] for channel in _CHANNELS}
        tenant = ChangedTenant(change.tenant_id, before, after, steps, more)
        size += len(msgspec.json.encode(tenant))
        if number >= MOST_TENANTS or size > _MOST_BYTES:
            return
        yield tenant


def _tier_counts(before: PolicyOutcome, after: PolicyOutcome) -> list[TierCount]:
    decisions = [
        Counter((d.channel, d.tier) for d in judged.decisions if not d.taken_back) for judged in (before, after)
    ]
    tenants = [_highest(judged) for judged in (before, after)]
    return [
        TierCount(
            channel,
            tier,
            (tenants[0][channel, tier], tenants[1][channel, tier]),
            (decisions[0][channel, tier], decisions[1][channel, tier]),
        )
        for channel in _CHANNELS
        for tier in reversed(TIERS)
        if any(counts[channel, tier] for counts in decisions)
    ]


def _highest(judged: PolicyOutcome) -> Counter[tuple[Channel, str]]:
    """The tenants by channel and their highest tier in it."""
    highest: dict[tuple[Channel, str], int] = {}
    for decision in judged.decisions:
        if not decision.taken_back:
            key, rank = (decision.channel, decision.tenant_id), TIERS.index(decision.tier)
            highest[key] = max(highest.get(key, 0), rank)
    return Counter((channel, TIERS[rank]) for (channel, _), rank in highest.items())


def _rule_counts(before: PolicyJudgement, after: PolicyJudgement) -> list[RuleCount]:
    """The rules that did something by either policy, those that differ most first."""
    sides = (before, after)
    decisions: list[Counter[str]] = []
    tenants: list[dict[str, set[str]]] = []
    for side in sides:
        decisions.append(Counter(d.rule_id for d in side.outcome.decisions))
        by_rule: dict[str, set[str]] = defaultdict(set)
        for decision in side.outcome.decisions:
            by_rule[decision.rule_id].add(decision.tenant_id)
        tenants.append(by_rule)
    rules = {rule for side, counted in zip(sides, decisions, strict=True) for rule in (*side.alerts, *counted)}
    counts = [
        RuleCount(
            rule,
            (decisions[0][rule], decisions[1][rule]),
            (len(tenants[0].get(rule, ())), len(tenants[1].get(rule, ()))),
            (before.alerts.get(rule, 0), after.alerts.get(rule, 0)),
        )
        for rule in rules
    ]
    counts.sort(key=lambda one: (-_difference(one.tenants), -_difference(one.decisions), one.rule_id))
    return counts[:_MOST_RULES]


def _difference(pair: tuple[int, int]) -> int:
    return abs(pair[1] - pair[0])


def _scores(before: PolicyOutcome, after: PolicyOutcome, truths: Mapping[str, Truth]) -> list[ScoreRow]:
    rows = []
    for selection in SELECTIONS:
        a, b = (backtest.scores(judged, truths, selection) for judged in (before, after))
        rows.append(ScoreRow(selection, "", a.overall.bad, _score(a.overall), _score(b.overall)))
        rules: Sequence[str] = sorted(a.rules.keys() | b.rules.keys())[:_MOST_RULES]
        for rule in rules:
            rows.append(ScoreRow(selection, rule, a.overall.bad, _score(a.rules.get(rule)), _score(b.rules.get(rule))))
    return rows


def _score(score: "backtest.Score | None") -> SideScore | None:
    if score is None:
        return None
    return SideScore(score.right, score.wrong, score.taken_back, score.precision, score.recall)
