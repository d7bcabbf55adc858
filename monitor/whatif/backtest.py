"""Two policies on the same records: whose decisions differ and why, and which policy is more often right.

There are three nested selections of a tenant's decisions: ``final`` ones, ``referred`` (final, or pending review) and
``shown`` (these and the shadow rules'). Tiers count only decisions that are not reversed; scores also count reversed
ones.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

import msgspec

from monitor.adapters.base import Adapter
from monitor.policy.model import Policy
from monitor.replay.files import line_chunks, open_input
from schemas.inputs import Review
from schemas.outputs import Enforcement, PolicyRef, Reason

if TYPE_CHECKING:
    from monitor.replay.outcome import Outcome

HOUR_MS = 3_600_000
PIECE_LINES = 5_000
Channel = Literal["final", "pending", "shadow"]
Selection = Literal["final", "referred", "shown"]
SELECTIONS: dict[Selection, tuple[Channel, ...]] = {
    "final": ("final",),
    "referred": ("final", "pending"),
    "shown": ("final", "pending", "shadow"),
}
# ``admission`` is a rejected application, which has no tier.
TIERS = ("admission", "minor", "major", "severe")


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision of one policy. ``taken_back``: whether it was reversed."""

    id: str
    tenant_id: str
    channel: Channel
    rule_id: str
    tier: str
    decided_ms: int
    taken_back: bool
    reason: Reason


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """The decisions of one policy on the records, in order."""

    policy: PolicyRef
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that decides about a tenant under only one of the policies; ``first`` is its first decision."""

    channel: Channel
    rule_id: str
    appears: bool
    first: Decision


@dataclass(frozen=True, slots=True)
class Change:
    """A tenant whose highest tier differs in one of the channels, with the rules that cause it."""

    tenant_id: str
    before: dict[Channel, str | None]
    after: dict[Channel, str | None]
    rules: tuple[RuleChange, ...]


@dataclass(frozen=True, slots=True)
class Truth:
    """The ground truth of a tenant. ``since_ms`` is when its violation began; None if unknown."""

    kind: str
    bad: bool
    since_ms: int | None


@dataclass(frozen=True, slots=True)
class Score:
    """How right the decisions of one selection are; each tenant counts once.

    ``right``: bad tenants decided about since their violation began; ``wrong``: tenants decided about that were honest,
    or honest then; ``taken_back``: the wrong ones whose decisions were all reversed. ``bad``: all bad tenants. Hours
    are from the start of the violation to the first decision after it; the 90th percentile is by nearest rank.
    """

    bad: int
    right: int
    wrong: int
    taken_back: int
    median_hours: float | None
    p90_hours: float | None

    @property
    def precision(self) -> float | None:
        """The share of right tenants among those decided about."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        """The share of bad tenants that were found."""
        return self.right / self.bad if self.bad else None


@dataclass(frozen=True, slots=True)
class Scores:
    """One policy's scores: overall, by kind of tenant (with the number of tenants of the kind), by rule.

    By kind, a wrong tenant is an honest tenant of that kind; by rule, ``bad`` remains all bad tenants.
    """

    selection: Selection
    overall: Score
    kinds: dict[str, tuple[int, Score]]
    rules: dict[str, Score]


def judge_files(
    paths: Sequence[str | Path],
    policy: Policy,
    not_after_ms: int | None = None,
    adapter: Adapter | Sequence[Adapter | None] | None = None,
) -> PolicyOutcome:
    """The decisions of ``policy`` on these files' records up to ``not_after_ms``. Only this function runs a replay."""
    from monitor.replay.run import ReplayOptions, replay

    return outcome_of(replay(paths, policy, ReplayOptions(not_after_ms=not_after_ms), adapter=adapter), policy)


def outcome_of(result: "Outcome", policy: Policy) -> PolicyOutcome:
    """The decisions of a replay by ``policy``."""
    ref = PolicyRef(policy.id, policy.version, policy.sha256)
    return PolicyOutcome(ref, tuple(decisions_of(result.enforcement, result.shadow)))


def decisions_of(enforcement: Iterable[Enforcement], shadow: Iterable[Enforcement]) -> list[Decision]:
    """The decisions of a replay by time, without its reversals and lapses.

    An upheld decision occurs twice, pending and final; a reversal of either takes both back.
    """
    events = list(enforcement)
    reversed_ids = {event.data.reverses for event in events if event.data.kind == "reversal"}
    # A reversal names the id in force, which for an upheld decision is the final one.
    reversed_ids |= {event.data.supersedes for event in events if event.id in reversed_ids}
    decisions = [_decision(event, event.id in reversed_ids, None) for event in events if not event.data.reverses]
    decisions += [_decision(event, False, "shadow") for event in shadow if not event.data.reverses]
    return sorted(decisions, key=lambda d: (d.decided_ms, d.tenant_id, d.channel, d.id))


def _decision(event: Enforcement, taken_back: bool, channel: Channel | None) -> Decision:
    data = event.data
    own: Channel = "final" if data.status == "final" else "pending"
    tier = data.tier or "admission"
    return Decision(
        event.id, data.tenant_id, channel or own, data.rule_id, tier, data.decided_ms, taken_back, data.reason
    )


def changes(before: PolicyOutcome, after: PolicyOutcome) -> list[Change]:
    """The tenants whose tier differs between two policies, the most severe change first, then by id."""
    old, new = _by_tenant(before.decisions), _by_tenant(after.decisions)
    found = []
    for tenant_id in sorted(old.keys() | new.keys()):
        was, now = old.get(tenant_id, []), new.get(tenant_id, [])
        was_tiers, now_tiers = _tiers(was), _tiers(now)
        if was_tiers != now_tiers:
            found.append(Change(tenant_id, was_tiers, now_tiers, _rule_changes(was, now)))
    return sorted(found, key=lambda change: (-_gravity(change), change.tenant_id))


def _by_tenant(decisions: Iterable[Decision]) -> dict[str, list[Decision]]:
    grouped: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        grouped[decision.tenant_id].append(decision)
    return grouped


def _tiers(decisions: Iterable[Decision]) -> dict[Channel, str | None]:
    highest: dict[Channel, str | None] = {"final": None, "pending": None, "shadow": None}
    for decision in decisions:
        if not decision.taken_back and _rank(decision.tier) > _rank(highest[decision.channel]):
            highest[decision.channel] = decision.tier
    return highest


def _rank(tier: str | None) -> int:
    return 0 if tier is None else 1 + TIERS.index(tier)


def _gravity(change: Change) -> int:
    """A changed final tier outweighs a changed pending one, and that outweighs a changed shadow tier."""
    steps = {channel: abs(_rank(change.after[channel]) - _rank(change.before[channel])) for channel in change.after}
    return steps["final"] * 100 + steps["pending"] * 10 + steps["shadow"]


def _rule_changes(was: Sequence[Decision], now: Sequence[Decision]) -> tuple[RuleChange, ...]:
    old, new = _first_by_rule(was), _first_by_rule(now)
    return tuple(
        RuleChange(channel, rule_id, (channel, rule_id) in new, (new | old)[channel, rule_id])
        for channel, rule_id in sorted(old.keys() ^ new.keys())
    )


def _first_by_rule(decisions: Sequence[Decision]) -> dict[tuple[Channel, str], Decision]:
    first: dict[tuple[Channel, str], Decision] = {}
    for decision in decisions:
        if not decision.taken_back:
            first.setdefault((decision.channel, decision.rule_id), decision)
    return first


def verdicts(paths: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """``(tenant_id, verdict)`` of the reviews in JSON-lines files, also ``.gz`` and ``.zst``."""
    for path in paths:
        with open_input(str(path)) as stream:
            for _, lines in line_chunks(stream, PIECE_LINES):
                yield from verdicts_of(lines)


def verdicts_of(lines: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """``(tenant_id, verdict)`` of the reviews among these lines."""
    decoder = msgspec.json.Decoder(Review)
    # A cheap filter before decoding: a review contains this word, a call does not.
    for line in (line for line in lines if b'"verdict"' in line):
        try:
            review = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # Replay rejects it, too.
        yield review.tenant_id, review.verdict


def truths_of_labels(path: Path) -> dict[str, Truth]:
    """The truth by tenant from a label file, as `callwarden simulate` writes it.

    A bad tenant whose violation is outside the records is omitted. Raises `ValueError` naming an invalid line.
    """
    from monitor.simulate.labels import read_labels

    return {
        tenant_id: Truth(label.kind, not label.honest, label.bad_from_ms)
        for tenant_id, label in read_labels(path).items()
        if label.honest or label.bad_from_ms is not None
    }


def truths_of_reviews(verdicts: Iterable[tuple[str, str]]) -> dict[str, Truth]:
    """The truth by tenant from ``(tenant_id, verdict)`` of reviews.

    One upheld decision makes a tenant bad, with an unknown start; a tenant with only overturned ones is honest.
    `approve` and `reject` decide on an application, so they say nothing about the tenant's calls.
    """
    truths: dict[str, Truth] = {}
    for tenant_id, verdict in verdicts:
        if verdict == "uphold":
            truths[tenant_id] = Truth("upheld", True, None)
        elif verdict == "overturn":
            truths.setdefault(tenant_id, Truth("overturned", False, None))
    return truths


def scores(judged: PolicyOutcome, truths: Mapping[str, Truth], selection: Selection) -> Scores:
    """How right a policy's decisions are about the tenants whose truth is known."""
    chosen = [d for d in judged.decisions if d.channel in SELECTIONS[selection] and d.tenant_id in truths]
    kinds: dict[str, dict[str, Truth]] = defaultdict(dict)
    for tenant_id, truth in truths.items():
        kinds[truth.kind][tenant_id] = truth
    rules: dict[str, list[Decision]] = defaultdict(list)
    for decision in chosen:
        rules[decision.rule_id].append(decision)
    return Scores(
        selection,
        _score(chosen, truths),
        {kind: (len(some), _score(chosen, some)) for kind, some in sorted(kinds.items())},
        {rule_id: _score(some, truths) for rule_id, some in sorted(rules.items())},
    )


def _score(decisions: Iterable[Decision], truths: Mapping[str, Truth]) -> Score:
    """The score of ``decisions``, in time order; those about other tenants are skipped."""
    found_ms: dict[str, int] = {}
    wrong: dict[str, bool] = {}
    for decision in decisions:
        truth = truths.get(decision.tenant_id)
        if truth is None:
            continue
        if truth.bad and (truth.since_ms is None or decision.decided_ms >= truth.since_ms):
            found_ms.setdefault(decision.tenant_id, decision.decided_ms)
        else:
            wrong[decision.tenant_id] = wrong.get(decision.tenant_id, True) and decision.taken_back
    hours = sorted(
        (ms - since) / HOUR_MS
        for tenant_id, ms in found_ms.items()
        if (since := truths[tenant_id].since_ms) is not None
    )
    return Score(
        bad=sum(truth.bad for truth in truths.values()),
        right=len(found_ms),
        wrong=len(wrong),
        taken_back=sum(wrong.values()),
        median_hours=median(hours) if hours else None,
        p90_hours=hours[math.ceil(0.9 * len(hours)) - 1] if hours else None,
    )
