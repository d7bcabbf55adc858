"""The records that are not calls: registrations, complaints, findings, applications and their reviews."""

from collections.abc import Iterator

import numpy as np
from msgspec.structs import replace

from monitor.simulate.settings import DAY_MS, HOUR_MS, SimulationSettings
from monitor.simulate.tenants.population import PROFILE_NAMES, Floats, Population
from monitor.simulate.tenants.profiles import PROFILES, Grievance
from monitor.simulate.tenants.scripts import SCRIPTS, Step
from monitor.simulate.tenants.texts import LISTS, REASONS, Wording
from monitor.simulate.tenants.traffic import ANSWERED, SimulatedCalls, call_id, mix64, own_base, rotation
from monitor.simulate.tenants.verdicts import decided_id
from schemas.inputs import Application, Complaint, Finding, Record, Review, Tenant

Case = Complaint | Finding | Application

CHANNELS = ("12321", "12315", "hotline", "web")
# Complaints about calls: reported some hours after the call, settled within a day or two.
REPORTED_HOURS, REPORTED_SIGMA = 3.0, 1.1
SETTLED_HOURS, SETTLED_SIGMA = 12.0, 0.8
# Delays of complaints' and findings' paths shrink in runs shorter than this, or nothing would be decided in them.
FULL_DAYS = 4
DECLARED_NUMBERS = 20
# The share of a bombed tenant's complaints that its first complainant files.
MAIN_COMPLAINANT = 0.6


class Cases:
    """Generates the records of one run as ``(event_ms, record)``; those after the run's end are omitted."""

    def __init__(self, population: Population, settings: SimulationSettings, rng: np.random.Generator) -> None:
        self.population = population
        self.settings = settings
        self.rng = rng
        self.shrink = min(1.0, settings.days / FULL_DAYS)
        # By tenant index: the first record that makes a tenant bad, and the end of its calls.
        self.first_bad_ms: dict[int, int] = {}
        self.stop_ms: dict[int, int] = {}
        self._made = 0
        # By tenant index: the businesses that findings name as declared.
        self._found_declared: dict[int, list[str]] = {}
        self._mark = _letters(settings.mark)
        self._own = own_base(population.seed)
        self._grievances = [PROFILES[name].grievances for name in PROFILE_NAMES]
        self._rates: Floats = np.array([sum(g.per_answered for g in each) for each in self._grievances])

    def registered_and_scripted(self) -> Iterator[tuple[int, Record]]:
        """The registrations, and all scripted records of the tenants' kinds."""
        before = self.rng.integers(1, HOUR_MS, len(self.population)).tolist()
        scripted = list(self._scripted())  # they say what the inspection finds declared
        yield from self._registrations(before)
        yield from scripted

    def _registrations(self, before: list[int]) -> Iterator[tuple[int, Record]]:
        """A `tenant` record each, within the hour before the run; those that rotate numbers register new ones daily."""
        people, start = self.population, self.settings.start_ms
        for i, tenant_id in enumerate(people.ids):
            pool = int(people.numbers[i])
            rotates = PROFILES[people.kinds[i].profile].rotates
            for day in range(self.settings.days if rotates else 1):
                when = start - before[i] + day * DAY_MS
                first = int(self._own[i]) + (rotation(when + HOUR_MS) * pool if rotates else 0)
                numbers = [f"+{first + j}" for j in range(min(pool, DECLARED_NUMBERS))]
                declared = list(dict.fromkeys((people.declared[i], *self._found_declared.get(i, ()))))
                yield when, Tenant(tenant_id, declared, numbers, when, people.names[i])

    def _scripted(self) -> Iterator[tuple[int, Record]]:
        for i, kind in enumerate(self.population.kinds):
            for step in SCRIPTS[kind.script] if kind.script else ():
                for _ in range(int(self.rng.integers(step.times[0], step.times[1] + 1))):
                    yield from self._step(i, step)

    def complaints_about(self, calls: SimulatedCalls) -> Iterator[tuple[int, Record]]:
        """Complaints that some of these calls cause, with their later statuses."""
        angry = (
            (self.rng.random(len(calls)) < self._rates[calls.profile]) & (calls.outcome == ANSWERED) & ~calls.inbound
        )
        for row in np.flatnonzero(angry).tolist():
            grievance = self._which(self._grievances[int(calls.profile[row])])
            end = int(calls.end[row])
            reported = end + self._hours(REPORTED_HOURS, REPORTED_SIGMA)
            first = Complaint(
                complaint_id=self._id("q"),
                tenant_id=self.population.ids[int(calls.tenant[row])],
                category=grievance.category,
                status="received",
                reported_ms=reported,
                updated_ms=reported,
                channel=self._channel(),
                complainant=_pseudonym(int(calls.callee[row])),
                caller=f"+{int(calls.caller[row])}",
                call_id=call_id(int(calls.serial[row])),
                occurred_ms=end,
            )
            draw = float(self.rng.random())
            settled = reported + self._hours(SETTLED_HOURS, SETTLED_SIGMA)
            yield from self._within(reported, first)
            if draw < grievance.verified:
                yield from self._within(settled, replace(first, status="verified", updated_ms=settled))
            elif draw < grievance.verified + grievance.dismissed:
                yield from self._within(settled, replace(first, status="dismissed", updated_ms=settled))

    def _step(self, tenant: int, step: Step) -> Iterator[tuple[int, Record]]:
        at = float(self.rng.uniform(*step.at))
        when = self.settings.start_ms + int(at * self.settings.days * DAY_MS)
        wording = self._wording(step.wording)
        if not self.population.kinds[tenant].honest:
            self.first_bad_ms[tenant] = min(self.first_bad_ms.get(tenant, when), when)
        record = self._first(tenant, step, when, wording)
        yield from self._within(when, record)
        for status, least, most in step.path:
            when += int(self.rng.uniform(least, most) * self.shrink * HOUR_MS)
            record = replace(record, status=status, updated_ms=when)
            yield from self._within(when, record)
            if status == "dismissed":
                continue
            if step.stops_calls:
                self.stop_ms[tenant] = when + HOUR_MS
            if step.review and not isinstance(record, Application):
                later = when + int(self.rng.uniform(*step.review_after) * self.shrink * HOUR_MS)
                review = self._review(record, step, later)
                if not (self.settings.open_bans and step.review_of == "likely" and step.review == "overturn"):
                    yield from self._within(later, review)

    def _first(self, tenant: int, step: Step, when: int, wording: Wording | None) -> Case:
        tenant_id = self.population.ids[tenant]
        if step.record == "application":
            if wording is None:
                raise ValueError("a step that applies for numbers needs a wording")
            return Application(self._id("n"), tenant_id, wording.declared, when, wording.actual)
        if step.record == "finding":
            if wording is not None:
                self._found_declared.setdefault(tenant, []).append(wording.declared)
            return Finding(
                finding_id=self._id("f"),
                tenant_id=tenant_id,
                behaviour=step.what,  # type: ignore[arg-type]  # one of the literals, by the case
                status="suspected",
                updated_ms=when,
                declared_business=wording.declared if wording else None,
                actual_business=wording.actual if wording else None,
                inspector=f"qa-{int(self.rng.integers(1, 9))}",
            )
        return Complaint(
            complaint_id=self._id("q"),
            tenant_id=tenant_id,
            category=step.what,  # type: ignore[arg-type]  # as above
            status="received",
            reported_ms=when,
            updated_ms=when,
            channel=self._channel(),
            complainant=self._complainant(tenant, step),
            caller=f"+{int(self._own[tenant])}",
        )

    def _complainant(self, tenant: int, step: Step) -> str:
        if not step.complainants:
            return _pseudonym(int(self.rng.integers(1, 1 << 62)))
        # The first of the few files most of them.
        which = 0 if self.rng.random() < MAIN_COMPLAINANT else int(self.rng.integers(step.complainants))
        return _pseudonym(int(self.population.seed[tenant] >> np.uint64(2)) + which)

    def _review(self, record: Complaint | Finding, step: Step, when: int) -> Review:
        verdict = step.review or "uphold"
        return Review(
            review_id=self._id("v"),
            enforcement_id=decided_id(record, step.review_of),
            tenant_id=record.tenant_id,
            verdict=verdict,
            reviewer=f"ops-{int(self.rng.integers(1, 5))}",
            reason=REASONS[verdict],
            updated_ms=when,
        )

    def _which(self, grievances: tuple[Grievance, ...]) -> Grievance:
        left = float(self.rng.random()) * sum(g.per_answered for g in grievances)
        for grievance in grievances:
            left -= grievance.per_answered
            if left < 0:
                return grievance
        return grievances[-1]

    def _wording(self, name: str | None) -> Wording | None:
        return LISTS[name][int(self.rng.integers(len(LISTS[name])))] if name else None

    def _channel(self) -> str:
        return CHANNELS[int(self.rng.integers(len(CHANNELS)))]

    def _hours(self, median: float, sigma: float) -> int:
        return int(np.exp(self.rng.normal(np.log(median), sigma)) * self.shrink * HOUR_MS)

    def _id(self, letter: str) -> str:
        self._made += 1
        return f"{letter}{self._mark}{self._made:06d}"

    def _within(self, when: int, record: Record) -> Iterator[tuple[int, Record]]:
        if when < self.settings.end_ms:
            yield when, record


def _pseudonym(person: int) -> str:
    return f"p{int(mix64(np.array([person], dtype=np.uint64))[0]) >> 16:012x}"


def _letters(number: int) -> str:
    """A number in letters, since digits would look like a telephone number and be masked; 0 is empty."""
    text = ""
    while number:
        number, digit = divmod(number, 26)
        text = chr(ord("a") + digit) + text
    return text
