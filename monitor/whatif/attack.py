"""Tries a policy on generated tenants: which it catches, when, and which honest tenants it wrongs."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final, Literal
from zoneinfo import ZoneInfo

from monitor.policy.model import Policy
from monitor.replay.outcome import Outcome
from monitor.replay.run import replay
from monitor.simulate.attack.platform import ALL_KINDS, DrawnTenant, draw_platform
from monitor.simulate.attack.streams import TenantKind
from monitor.simulate.settings import DEFAULT_START_MS, SHANGHAI_MS
from schemas.outputs import Enforcement

Caught = Literal["final", "review", "shadow", "nothing"]
CAUGHT: Final[tuple[Caught, ...]] = ("final", "review", "shadow", "nothing")
DAYS: Final = 4
HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class TenantResult:
    """The strongest measured decision on one tenant, the time to its first decision, and the rules that decided.

    The first decision is the first final or pending one; if there is none, the first in shadow. It is timed from the
    tenant's first unwanted call, and None for honest tenants and those that nothing caught.
    """

    kind: TenantKind
    seed: int
    caught: Caught
    after_ms: int | None
    rules: tuple[str, ...]
    shadow_rules: tuple[str, ...]


@dataclass(slots=True)
class KindResult:
    """The results of a kind over all seeds."""

    kind: TenantKind
    results: list[TenantResult] = field(default_factory=list)

    def count(self, caught: Caught) -> int:
        """In how many seeds this was the strongest decision."""
        return sum(result.caught == caught for result in self.results)

    @property
    def median_ms(self) -> int | None:
        """The median time to the first decision of those that a final or pending decision caught."""
        times = [r.after_ms for r in self.results if r.after_ms is not None and r.caught in ("final", "review")]
        return round(median(times)) if times else None

    @property
    def rules(self) -> list[str]:
        """The rules that decided, the most frequent first; if none decided, those in shadow."""
        deciding = Counter(rule for result in self.results for rule in result.rules)
        shadow = Counter(rule for result in self.results for rule in result.shadow_rules)
        return [rule for rule, _ in sorted((deciding or shadow).items(), key=lambda item: (-item[1], item[0]))]


@dataclass(frozen=True, slots=True)
class AttackReport:
    """The results of all kinds, in the order of the kinds."""

    policy: Policy
    seeds: tuple[int, ...]
    days: int
    kinds: tuple[KindResult, ...]

    def of(self, *roles: str) -> list[KindResult]:
        """The kinds of these roles."""
        return [result for result in self.kinds if result.kind.role in roles]

    @property
    def wronged(self) -> list[TenantResult]:
        """Honest tenants with a final measured decision."""
        return [r for each in self.of("odd", "honest") for r in each.results if r.caught == "final"]

    @property
    def undecided(self) -> list[TenantResult]:
        """Dishonest tenants on whom no rule decided."""
        return [
            r for each in self.of("strategy", "offender") for r in each.results if r.caught in ("shadow", "nothing")
        ]

    @property
    def unseen(self) -> list[TenantResult]:
        """Dishonest tenants who are not even in the shadow output."""
        return [r for r in self.undecided if r.caught == "nothing"]


def attack(
    policy: Policy,
    seeds: Sequence[int],
    folder: Path,
    *,
    days: int = DAYS,
    kinds: Sequence[TenantKind] = ALL_KINDS,
    optional: bool = True,
    progress: Callable[[int], None] | None = None,
) -> AttackReport:
    """Judge a platform of each seed by the policy. ``folder`` holds one platform's calls at a time.

    The days of a platform are those of the policy's time zone. ``optional`` False: platforms that leave the optional
    fields empty. ``progress`` is called with each seed done.
    """
    found = {kind.name: KindResult(kind) for kind in kinds}
    start_ms = _midnight_ms(policy.params.timezone)
    for seed in seeds:
        path = folder / f"platform-{seed}.jsonl"
        tenants = draw_platform(seed, days, path, kinds=kinds, start_ms=start_ms, optional=optional)
        outcome = replay([path], policy)
        path.unlink()
        for result in results_of(tenants, outcome, seed):
            found[result.kind.name].results.append(result)
        if progress:
            progress(seed)
    return AttackReport(policy, tuple(seeds), days, tuple(found.values()))


def _midnight_ms(timezone: str) -> int:
    """The midnight in that zone with which the first day of the platforms begins."""
    day = datetime.fromtimestamp((DEFAULT_START_MS + SHANGHAI_MS) / 1000, UTC)
    return round(day.replace(tzinfo=ZoneInfo(timezone)).timestamp() * 1000)


def results_of(tenants: Iterable[DrawnTenant], outcome: Outcome, seed: int) -> Iterable[TenantResult]:
    """The result of each tenant of one platform."""
    decided, shadow = _measured(outcome.enforcement), _measured(outcome.shadow)
    for tenant in tenants:
        mine = _since(decided.get(tenant.tenant_id, []), tenant)
        shown = _since(shadow.get(tenant.tenant_id, []), tenant)
        caught: Caught = "nothing"
        if any(event.data.status == "final" for event in mine):
            caught = "final"
        elif mine:
            caught = "review"
        elif shown:
            caught = "shadow"
        first = min((event.data.decided_ms for event in mine or shown), default=None)
        after = None if first is None or tenant.bad_from_ms is None else first - tenant.bad_from_ms
        yield TenantResult(tenant.kind, seed, caught, after, _rules(mine), _rules(shown))


def _measured(events: Iterable[Enforcement]) -> dict[str, list[Enforcement]]:
    found: dict[str, list[Enforcement]] = {}
    for event in events:
        if event.data.window is not None:
            found.setdefault(event.subject, []).append(event)
    return found


def _since(events: list[Enforcement], tenant: DrawnTenant) -> list[Enforcement]:
    since_ms = tenant.bad_from_ms
    return events if since_ms is None else [event for event in events if event.data.decided_ms >= since_ms]


def _rules(events: list[Enforcement]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event.data.rule_id for event in events))
