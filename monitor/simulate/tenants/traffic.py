"""One hour of calls of all tenants, in columns."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from monitor.simulate.settings import DAY_MS, HOUR_MS, SHANGHAI_MS
from monitor.simulate.tenants.population import PROFILE_NAMES, Floats, Ints, Population, Words
from monitor.simulate.tenants.profiles import HOURS, OUTCOMES, PROFILES, WEEKS, TrafficProfile

ANSWERED = OUTCOMES.index("answered")
NO_ANSWER = OUTCOMES.index("no_answer")
REJECTED = OUTCOMES.index("rejected")
CANCELLED = OUTCOMES.index("cancelled")
# Who hung up, as an index into `monitor.simulate.lines.HANGUP`.
BY_CALLER, BY_CALLEE, BY_SYSTEM = 1, 2, 3
HUMAN, MACHINE = 1, 2
NONE = -1
# The consent id of tenants that use one id for all calls; others have a hash.
ONE_CONSENT = 1
MOBILE_PREFIXES = np.array(
    [
        130,
        131,
        132,
        133,
        135,
        136,
        137,
        138,
        139,
        150,
        151,
        152,
        155,
        157,
        158,
        159,
        170,
        176,
        177,
        180,
        185,
        186,
        187,
        189,
    ],
    dtype=np.int64,
)


@dataclass(slots=True)
class SimulatedCalls:
    """Calls, one row each, by tenant and start. Times are in ms or ``NONE``; agent and consent 0 mean none."""

    tenant: Ints
    profile: Ints
    serial: Ints
    inbound: NDArray[np.bool_]
    caller: Ints
    callee: Ints
    start: Ints
    ring: Ints
    answer: Ints
    end: Ints
    outcome: Ints
    hangup: Ints
    answered_by: Ints
    agent: Ints
    consent: Words

    def __len__(self) -> int:
        return len(self.tenant)

    def take(self, rows: NDArray[np.bool_]) -> "SimulatedCalls":
        """Some of the rows."""
        return SimulatedCalls(*(getattr(self, column.name)[rows] for column in fields(self)))


def mix64(x: Words) -> Words:
    """SplitMix64's finaliser: a bijection of 64-bit words with pseudo-random output."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def call_id(serial: int) -> str:
    """The id of the call with that serial number, as `monitor.simulate.lines` writes it."""
    return f"{int(mix64(np.array([serial], dtype=np.uint64))[0]):016x}"


def rotation(ms: int) -> int:
    """The offset of a rotating tenant's number pool on that day, in pools."""
    return (ms + SHANGHAI_MS) // DAY_MS % 97


class Tables:
    """The parameters of the profiles as arrays, indexed by profile."""

    def __init__(self) -> None:
        profiles = [PROFILES[name] for name in PROFILE_NAMES]
        self.hours = np.array([_shares(HOURS[p.hours]) for p in profiles])
        self.weeks = np.array([WEEKS[p.week] for p in profiles])
        self.outcomes = np.array([p.outcomes for p in profiles])
        self.inbound_bounds = _bounds(np.array([_inbound(p) for p in profiles]))
        most = max(len(p.talk) for p in profiles)
        talk = np.array([(*p.talk, *((0.0, 1.0, 0.0),) * (most - len(p.talk))) for p in profiles])
        self.talk_bounds = _bounds(talk[:, :, 0])
        self.talk_mu = np.log(talk[:, :, 1] * 1000.0)
        self.talk_sigma = talk[:, :, 2]
        self.inbound = np.array([p.inbound for p in profiles])
        self.zero = np.array([p.zero_answered for p in profiles])
        self.pdd_mu = np.log(np.array([p.pdd_s for p in profiles]) * 1000.0)
        self.cancel_mu = np.log(np.array([p.cancel_s for p in profiles]) * 1000.0)
        self.hangup = np.array([(p.callee_hangup, p.callee_hangup_long) for p in profiles])
        self.machine = np.array([p.machine_answered for p in profiles])
        self.consent = np.array([p.consent for p in profiles])
        self.one_consent = np.array([p.consent_id == "one" for p in profiles])
        self.mode = np.array([("book", "fresh", "sequence", "few").index(p.callees) for p in profiles])
        self.redial = np.array([p.redial for p in profiles])
        self.rotates = np.array([p.rotates for p in profiles])
        self.burst = np.array([p.burst_s for p in profiles]) * 1000.0
        self.honest = np.array([p.honest for p in profiles])


def _shares(weights: tuple[float, ...]) -> tuple[float, ...]:
    total = sum(weights)
    return tuple(w / total for w in weights)


def _bounds(weights: Floats) -> Floats:
    """The boundaries of a uniform variate between choices, for each row of weights; the last boundary is omitted."""
    bounds: Floats = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)[:, :-1]
    return bounds


def _inbound(profile: TrafficProfile) -> tuple[float, ...]:
    shares = {"answered": 1.0 - profile.abandoned - 0.003, "cancelled": profile.abandoned, "failed": 0.003}
    return tuple(shares.get(name, 0.0) for name in OUTCOMES)


class Traffic:
    """Generates calls hour by hour. ``first_bad_ms`` is each tenant's first call in a bad profile."""

    def __init__(self, population: Population, rng: np.random.Generator, mark: int = 0) -> None:
        self.population = population
        self.tables = Tables()
        self.rng = rng
        self.made = 0
        self._mark = mark
        self.dialled = np.zeros(len(population), dtype=np.int64)
        self.first_bad_ms = np.full(len(population), NONE, dtype=np.int64)
        self.stop_ms = np.full(len(population), np.iinfo(np.int64).max, dtype=np.int64)
        self._mood = np.ones(len(population))
        self._outcome_bounds = np.empty((len(population), 0))

    def hour(self, start_ms: int) -> SimulatedCalls:
        """The calls that begin in ``[start_ms, start_ms + 1 h)``."""
        people, tables, rng = self.population, self.tables, self.rng
        local = start_ms + SHANGHAI_MS
        day, hour = local // DAY_MS, local % DAY_MS // HOUR_MS
        if hour == 0 or self.made == 0:
            # Each tenant's activity today.
            self._mood = np.exp(rng.normal(0.0, 0.12, len(people)))
        profile_of = np.where(start_ms >= people.turn_ms, people.turned, people.profile)
        self._outcome_bounds = _bounds(tables.outcomes[profile_of] * people.outcome_factor)
        # 1970-01-01 was a Thursday.
        load = people.daily * self._mood * tables.hours[profile_of, hour] * tables.weeks[profile_of, (day + 3) % 7]
        load[start_ms >= self.stop_ms] = 0.0
        counts = rng.poisson(load)
        tenant = np.repeat(np.arange(len(people)), counts)
        n = len(tenant)
        profile = profile_of[tenant]
        start = self._starts(tenant, profile, start_ms)
        rank = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
        inbound = rng.random(n) < tables.inbound[profile]
        outside = self._outside(tenant, profile, rank, inbound)
        self.dialled += counts
        pool = people.numbers[tenant]
        own = rng.integers(0, pool) + np.where(tables.rotates[profile], rotation(start_ms) * pool, 0)
        own += own_base(people.seed)[tenant]
        calls = SimulatedCalls(
            tenant=tenant,
            profile=profile,
            serial=np.arange(self.made, self.made + n) + (self._mark << 32),
            inbound=inbound,
            caller=np.where(inbound, outside, own),
            callee=np.where(inbound, own, outside),
            start=start,
            agent=np.where(people.agents[tenant] > 0, 1 + rng.integers(0, np.maximum(people.agents[tenant], 1)), 0),
            consent=self._consent(tenant, profile, outside, inbound),
            **self._outcome_and_times(tenant, profile, start, inbound),
        )
        self.made += n
        bad = ~tables.honest[profile]
        first = np.full(len(people), np.iinfo(np.int64).max)
        np.minimum.at(first, tenant[bad], start[bad])
        fresh = (self.first_bad_ms == NONE) & (first != np.iinfo(np.int64).max)
        self.first_bad_ms[fresh] = first[fresh]
        return calls

    def _starts(self, tenant: Ints, profile: Ints, start_ms: int) -> Ints:
        """Start times within the hour, sorted within each tenant."""
        crowd = self.tables.burst[profile]
        width = np.where(crowd > 0, crowd, float(HOUR_MS))
        offset = np.where(crowd > 0, self.population.burst_at[tenant] * (HOUR_MS - width), 0.0)
        within = (offset + self.rng.random(len(tenant)) * width).astype(np.int64)
        return start_ms + np.sort(tenant * HOUR_MS + within) - tenant * HOUR_MS

    def _outside(self, tenant: Ints, profile: Ints, rank: Ints, inbound: NDArray[np.bool_]) -> Ints:
        """The customer's number of each call."""
        people, tables, rng = self.population, self.tables, self.rng
        n = len(tenant)
        serial = self.dialled[tenant] + rank
        mode = tables.mode[profile]
        anyone = rng.integers(0, np.where(mode == 3, people.few[tenant], people.book[tenant]))
        index = np.where((mode == 3) | inbound, anyone, np.where(mode == 0, serial % people.book[tenant], serial))
        number = customer(people.seed[tenant], index)
        # Consecutive numbers, from a base of the tenant's own.
        base = customer(people.seed, np.zeros(len(people), dtype=np.int64)) // 10_000_000 * 10_000_000
        number = np.where((mode == 2) & ~inbound, base[tenant] + serial, number)
        # A redial repeats the number of the nearest earlier call that is not a redial.
        again = (rng.random(n) < tables.redial[profile]) & (rank > 0)
        source = np.maximum.accumulate(np.where(again, 0, np.arange(n)))
        return number[source] if n else number

    def _consent(self, tenant: Ints, profile: Ints, outside: Ints, inbound: NDArray[np.bool_]) -> Words:
        given = (self.rng.random(len(tenant)) < self.tables.consent[profile]) & ~inbound
        own = mix64(outside.astype(np.uint64) ^ self.population.seed[tenant]) | np.uint64(1 << 32)
        ids = np.where(self.tables.one_consent[profile], np.uint64(ONE_CONSENT), own)
        return np.where(given, ids, np.uint64(0))

    def _outcome_and_times(
        self, tenant: Ints, profile: Ints, start: Ints, inbound: NDArray[np.bool_]
    ) -> dict[str, Ints]:
        """Outcome, ring, answer and end of each call, and who ended it."""
        tables, rng = self.tables, self.rng
        n = len(tenant)
        bounds = np.where(inbound[:, None], tables.inbound_bounds[profile], self._outcome_bounds[tenant])
        outcome = (rng.random(n)[:, None] > bounds).sum(axis=1)
        answered = outcome == ANSWERED
        rang = answered | (outcome == NO_ANSWER) | (outcome == REJECTED) | (outcome == CANCELLED)

        normal = rng.standard_normal((3, n))
        ring = start + np.exp(tables.pdd_mu[profile] + 0.35 * normal[0]).astype(np.int64)
        mu = np.select(
            [answered, outcome == REJECTED, outcome == CANCELLED],
            [np.full(n, np.log(7_500.0)), np.full(n, np.log(6_500.0)), tables.cancel_mu[profile]],
            np.log(38_000.0),
        )
        sigma = np.where(outcome == NO_ANSWER, 0.2, 0.5)
        rung = np.minimum(np.exp(mu + sigma * normal[1]), 90_000.0).astype(np.int64)
        failed_after = np.exp(np.log(1_500.0) + 0.5 * normal[1]).astype(np.int64)

        part = (rng.random(n)[:, None] > tables.talk_bounds[profile]).sum(axis=1)
        talk = np.exp(tables.talk_mu[profile, part] + tables.talk_sigma[profile, part] * normal[2])
        talk = np.minimum(talk * self.population.talk_factor[tenant], 7_200_000.0).astype(np.int64)
        talk[rng.random(n) < tables.zero[profile]] = 0
        end = np.where(rang, ring + rung, start + failed_after) + np.where(answered, talk, 0)

        by_customer = rng.random(n) < tables.hangup[profile, (talk > 10_000).astype(np.int64)]
        by_answered = np.where(by_customer ^ inbound, BY_CALLEE, BY_CALLER)
        hangup = np.select(
            [answered, outcome == REJECTED, outcome == CANCELLED], [by_answered, BY_CALLEE, BY_CALLER], BY_SYSTEM
        )
        machine = (rng.random(n) < tables.machine[profile]) & ~inbound
        return {
            "outcome": outcome,
            "ring": np.where(rang, ring, NONE),
            "answer": np.where(answered, ring + rung, NONE),
            "end": end,
            "hangup": hangup,
            "answered_by": np.where(answered, np.where(machine, MACHINE, HUMAN), 0),
        }


def customer(seed: Words, index: Ints) -> Ints:
    """A mobile number of mainland China (86 and 11 digits) for each index, scattered by the tenant's seed."""
    mixed = mix64(seed + index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    prefix = MOBILE_PREFIXES[(mixed % np.uint64(len(MOBILE_PREFIXES))).astype(np.int64)]
    suffix = ((mixed >> np.uint64(20)) % np.uint64(100_000_000)).astype(np.int64)
    return 8_600_000_000_000 + prefix * 100_000_000 + suffix


def own_base(seed: Words) -> Ints:
    """The first of a tenant's own numbers: Beijing, 86 10 and eight digits; the others follow consecutively."""
    return 861_080_000_000 + (mix64(seed ^ np.uint64(0xC0FFEE)) % np.uint64(9_000_000)).astype(np.int64)
