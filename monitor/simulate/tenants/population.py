"""The tenants of a run: the kind and size of each, its callees and caller numbers, and when it turns bad."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.simulate.settings import DAY_MS, HOUR_MS, SimulationSettings
from monitor.simulate.tenants.kinds import KINDS, Kind
from monitor.simulate.tenants.profiles import OUTCOME_SPREAD, OUTCOMES, PROFILES, TALK_SPREAD
from monitor.simulate.tenants.texts import DECLARED, NAME_PARTS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Words = NDArray[np.uint64]

PROFILE_NAMES = tuple(PROFILES)
# Exponent and offset of the size law: with 10,000 tenants the largest tenth makes about two thirds of the calls.
ZIPF_EXPONENT = 1.05
ZIPF_OFFSET = 8.0


@dataclass(slots=True)
class Population:
    """One row a tenant. ``profile`` applies before ``turn_ms``, ``turned`` after; ``daily`` is calls on a weekday."""

    kinds: list[Kind]
    ids: list[str]
    names: list[str]
    declared: list[str]
    profile: Ints
    turned: Ints
    turn_ms: Ints
    daily: Floats
    seed: Words
    numbers: Ints
    book: Ints
    few: Ints
    agents: Ints
    talk_factor: Floats
    outcome_factor: Floats
    burst_at: Floats

    def __len__(self) -> int:
        return len(self.kinds)


def allot(tenants: int, rng: np.random.Generator) -> list[Kind]:
    """One kind a tenant: each kind once (the first ones if there are too few tenants), the rest by share."""
    if tenants <= len(KINDS):
        chosen = list(KINDS[:tenants])
    else:
        rest = tenants - len(KINDS)
        shares = np.array([kind.share for kind in KINDS])
        exact = shares / shares.sum() * rest
        counts = np.floor(exact).astype(np.int64)
        counts[np.argsort(counts - exact, kind="stable")[: rest - counts.sum()]] += 1
        chosen = [kind for kind, count in zip(KINDS, counts.tolist(), strict=True) for _ in range(count + 1)]
    return [chosen[i] for i in rng.permutation(tenants).tolist()]


def sizes(kinds: Sequence[Kind], total: float, rng: np.random.Generator) -> Floats:
    """Weekday calls of each tenant; they sum to ``total``.

    Tenants sized as a multiple of the mean get at most three quarters of it, so that some is left for the Zipf ones.
    """
    count = len(kinds)
    daily = np.zeros(count)
    sized = np.zeros(count, dtype=bool)
    zipf = np.zeros(count, dtype=bool)
    rank = 1.0 / (rng.permutation(count) + ZIPF_OFFSET) ** ZIPF_EXPONENT
    spread = rng.random(count)
    for i, kind in enumerate(kinds):
        if kind.calls:
            daily[i] = kind.calls[0] + spread[i] * (kind.calls[1] - kind.calls[0])
        elif kind.of_all:
            daily[i] = kind.of_all * total
        elif kind.size:
            sized[i] = True
            daily[i] = (kind.size[0] + spread[i] * (kind.size[1] - kind.size[0])) * total / count
        else:
            zipf[i] = True
            daily[i] = rank[i]
    left = max(total - daily[~sized & ~zipf].sum(), 0.1 * total)
    if sized.any() and zipf.any():
        daily[sized] *= min(1.0, 0.75 * left / daily[sized].sum())
        left -= daily[sized].sum()
    rest = zipf if zipf.any() else sized
    if rest.any():
        daily[rest] *= left / daily[rest].sum()
    return daily


def populate(settings: SimulationSettings, rng: np.random.Generator) -> Population:
    """The tenants of a run, the same for the same settings."""
    count = settings.tenants
    kinds = allot(count, rng)
    daily = sizes(kinds, settings.calls_per_day, rng)
    profiles = [PROFILES[kind.profile] for kind in kinds]
    latest = [PROFILES[kind.turns_to or kind.profile] for kind in kinds]
    width = max(4, len(str(count)))
    # Between nine and eleven hours into the third day; half-way through a shorter run.
    hours = rng.integers(9, 12, count, dtype=np.int64)
    if settings.days < 3:
        hours[:] = 12 * settings.days - 48
    turn = settings.start_ms + 2 * DAY_MS + hours * HOUR_MS
    return Population(
        kinds=kinds,
        ids=[f"t{i + 1:0{width}d}" for i in range(count)],
        names=_names(count, rng),
        declared=[DECLARED[kind.business][int(rng.integers(len(DECLARED[kind.business])))] for kind in kinds],
        profile=np.array([PROFILE_NAMES.index(kind.profile) for kind in kinds], dtype=np.int64),
        turned=np.array([PROFILE_NAMES.index(kind.turns_to or kind.profile) for kind in kinds], dtype=np.int64),
        turn_ms=turn,
        daily=daily,
        seed=rng.integers(0, 2**63, count, dtype=np.uint64),
        numbers=_at_least_one(daily / np.array([p.per_number for p in profiles])),
        book=_at_least_one(np.maximum(daily, 5) * np.array([p.book_days for p in profiles])),
        few=_at_least_one(daily / np.array([p.few_calls for p in latest])),
        agents=_at_least_one(daily / 70.0) * np.array([p.agents for p in profiles], dtype=np.int64),
        talk_factor=np.exp(rng.normal(0.0, TALK_SPREAD, count)),
        outcome_factor=np.exp(rng.normal(0.0, 1.0, (count, len(OUTCOMES))) * np.array(OUTCOME_SPREAD)),
        burst_at=rng.random(count),
    )


def _at_least_one(values: Floats) -> Ints:
    return np.maximum(np.rint(values), 1).astype(np.int64)


def _names(count: int, rng: np.random.Generator) -> list[str]:
    first, second = NAME_PARTS
    a = rng.integers(0, len(first), count).tolist()
    b = rng.integers(0, len(second), count).tolist()
    return [f"{first[i]}{second[j]}有限公司" for i, j in zip(a, b, strict=True)]
