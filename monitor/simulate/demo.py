"""The demonstration: evaluates simulated tenants and compares the decisions with their labels."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from monitor.core.threshold_distance import DistanceOptions
from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from monitor.replay.output import write
from monitor.replay.run import ReplayOptions, ReplayProgress, replay
from monitor.report.page import make
from monitor.report.standing import TenantStanding, TenantSummaries
from monitor.simulate.labels import TruthLabel, read_labels
from monitor.simulate.run import SimulationSummary, simulate
from monitor.simulate.settings import DEFAULT_CALLS_PER_TENANT, SimulationSettings
from monitor.text.display import DEFAULT, Display
from schemas.outputs import Enforcement, TierName

Verdict = Literal["found", "shadow", "missed", "not yet", "touched", "taken back", "left alone"]
_TIERS: tuple[TierName, ...] = ("severe", "major", "minor")


@dataclass(frozen=True, slots=True)
class TenantRow:
    """One tenant: its label, its decisions, and whether they were right.

    ``tier`` is the highest that was decided and not taken back. ``verdict``: a bad tenant is ``found`` by a decision,
    seen only by a ``shadow`` rule, ``missed``, or ``not yet`` bad within the run; an honest one is ``touched`` by a
    decision, touched by decisions that were all ``taken back``, or ``left alone``.
    """

    tenant: str
    kind: str
    honest: bool
    attempts: int
    tier: TierName | None
    violations: int
    frozen: bool
    decisions: int
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Judgement:
    """The evaluation of the decisions, and the files that the demonstration wrote; the report is the last."""

    rows: list[TenantRow]
    verdicts: Counter[Verdict]
    files: list[Path]


def prepare(out: Path, tenants: int, days: int, seed: int) -> SimulationSummary:
    """Write the simulated records and the labels to ``out``/input. Nobody has reviewed the wrong bans in them."""
    settings = SimulationSettings(
        tenants=tenants, days=days, seed=seed, calls_per_day=tenants * DEFAULT_CALLS_PER_TENANT, open_bans=True
    )
    return simulate(settings, out / "input")


def judge_simulation(
    simulated: SimulationSummary,
    policy: Policy,
    progress: Callable[[ReplayProgress], None] | None = None,
    distance_options: DistanceOptions | None = None,
) -> Outcome:
    """Replay the simulated records, with every window for the report's charts and the places of evidence.

    ``distance_options`` as in `replay`.
    """
    options = ReplayOptions(windows=True, measures=True, distance_options=distance_options, places=True)
    return replay(simulated.files, policy, options, progress=progress)


def conclude(
    out: Path, simulated: SimulationSummary, policy: Policy, outcome: Outcome, display: Display = DEFAULT
) -> Judgement:
    """Write decisions and report to ``out``, and compare the decisions with the labels.

    ``display`` says which ids the report masks.
    """
    files = write(outcome, policy, out, windows=True)
    files.append(make(out, out / "report.html", display))
    rows = rows_of(outcome, read_labels(simulated.labels), attempts_of(simulated.files))
    return Judgement(rows, Counter(row.verdict for row in rows), [*simulated.files, simulated.labels, *files])


def rows_of(outcome: Outcome, labels: dict[str, TruthLabel], attempts: Counter[str]) -> list[TenantRow]:
    """One row a tenant: bad ones first, then those with decisions, then by number of attempts."""
    shadow = Counter(event.subject for event in outcome.shadow)
    summaries = TenantSummaries(outcome.enforcement, (), dict(shadow))
    rows = []
    for tenant, label in labels.items():
        standing = summaries.tenants.get(tenant) or TenantStanding(tenant)
        rows.append(
            TenantRow(
                tenant=tenant,
                kind=label.kind,
                honest=label.honest,
                attempts=attempts[tenant],
                tier=_tier(summaries, standing),
                violations=len(standing.violations),
                frozen=bool(standing.holds),
                decisions=len(standing.decisions),
                verdict=_verdict(label, summaries, standing),
            )
        )
    return sorted(rows, key=lambda row: (row.honest, not row.decisions, -row.attempts, row.tenant))


def attempts_of(files: Iterable[Path]) -> Counter[str]:
    """The calls of each tenant that reached the network; one that was sent twice counts once."""
    decode = msgspec.json.Decoder(_Line).decode
    seen: set[tuple[str, str | None]] = set()
    for path in files:
        with path.open("rb") as lines:
            for line in map(decode, lines):
                if line.direction == "outbound" and line.outcome != "policy_blocked":
                    seen.add((line.tenant_id, line.call_id))
    return Counter(tenant for tenant, _ in seen)


class _Line(msgspec.Struct):
    tenant_id: str
    call_id: str | None = None
    direction: str | None = None
    outcome: str | None = None


def _held(summaries: TenantSummaries, tenant: TenantStanding) -> list[Enforcement]:
    """The decisions that were not reversed and did not lapse."""
    made = [event for event in tenant.decisions if event.data.kind not in ("reversal", "lapse")]
    return [event for event in made if summaries.outcome(event) in ("stands", "open")]


def _tier(summaries: TenantSummaries, tenant: TenantStanding) -> TierName | None:
    held = {event.data.tier for event in _held(summaries, tenant)}
    return next((tier for tier in _TIERS if tier in held), None)


def _verdict(label: TruthLabel, summaries: TenantSummaries, tenant: TenantStanding) -> Verdict:
    if label.honest:
        if not tenant.decisions:
            return "left alone"
        return "touched" if _held(summaries, tenant) else "taken back"
    if tenant.decisions:
        return "found"
    if label.bad_from_ms is None:
        return "not yet"
    return "shadow" if tenant.shadow else "missed"
