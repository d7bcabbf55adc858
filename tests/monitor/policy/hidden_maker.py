"""Makes the records of one tenant of `hidden_traffic`: how it calls, and which optional fields it fills."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_772_380_800_000  # 2026-03-02 00:00 in Shanghai

Talk = Callable[[], float]  # seconds
Row = dict[str, Any]


@dataclass
class Tenant:
    """One tenant: its records by end, and the time since which it is bad (None: honest)."""

    id: str
    kind: str
    since_ms: int | None = None
    rows: list[tuple[int, Row]] = field(default_factory=list)


@dataclass
class Habit:
    """How a tenant calls; shares are of attempts, and the rest is ``no_answer``."""

    asr: float
    talk: Talk
    rejected: float = 0.05
    busy: float = 0.04
    invalid: float = 0.01
    unreachable: float = 0.03
    carrier_blocked: float = 0.002
    cancelled: float = 0.02
    callers: int = 3
    callee_hangs_up: float = 0.5
    machine: float = 0.05
    consent: float = 0.97
    whole_seconds: bool = False

    def outcome(self, rng: Random) -> str:
        draw = rng.random()
        for name, share in (
            ("answered", self.asr),
            ("rejected", self.rejected),
            ("busy", self.busy),
            ("invalid_number", self.invalid),
            ("unreachable", self.unreachable),
            ("carrier_blocked", self.carrier_blocked),
            ("cancelled", self.cancelled),
        ):
            if draw < share:
                return name
            draw -= share
        return "no_answer"


@dataclass(frozen=True)
class Filled:
    """Which optional fields the platform fills."""

    consent_id: bool = True
    hangup_by: bool = True
    ring_ms: bool = True
    answered_by: bool = True


NOTHING_FILLED = Filled(False, False, False, False)


class Maker:
    """Makes one tenant's records. Every random number comes from ``rng``."""

    def __init__(self, tenant: Tenant, rng: Random, filled: Filled) -> None:
        self.tenant, self.rng, self.filled = tenant, rng, filled
        self.made = 0
        self.own = f"+8610{rng.randrange(10**4):04d}"

    def fresh(self) -> str:
        """A mobile number that was hardly dialled before."""
        return f"+861{self.rng.choice('3578')}{self.rng.randrange(10**9):09d}"

    def call(self, at_ms: int, callee: str, habit: Habit, caller: int | None = None, outcome: str | None = None) -> int:
        """One outbound attempt; returns when it ended."""
        rng = self.rng
        outcome = outcome or habit.outcome(rng)
        ring = at_ms + int(rng.uniform(0.5, 5) * SECOND)
        rung = {"rejected": (2, 12), "cancelled": (1, 20), "no_answer": (15, 60), "answered": (2, 25)}
        row: Row = {
            "type": "cdr",
            "call_id": f"{self.tenant.id}-{self.made}",
            "tenant_id": self.tenant.id,
            "direction": "outbound",
            "caller": f"{self.own}{rng.randrange(habit.callers) if caller is None else caller:04d}",
            "callee": callee,
            "start_ms": at_ms,
            "outcome": outcome,
        }
        end = at_ms + int(rng.uniform(0.3, 4) * SECOND)
        if outcome in rung:
            if self.filled.ring_ms:
                row["ring_ms"] = ring
            end = ring + int(rng.uniform(*rung[outcome]) * SECOND)
        if outcome == "answered":
            talk = max(0.0, habit.talk())
            row["answer_ms"] = end
            talk_ms = int(talk) * SECOND if habit.whole_seconds else int(talk * SECOND)
            end += talk_ms
            if self.filled.hangup_by:
                row["hangup_by"] = "callee" if rng.random() < habit.callee_hangs_up else "caller"
            if self.filled.answered_by:
                row["answered_by"] = "machine" if rng.random() < habit.machine else "human"
            if self.filled.consent_id and rng.random() < habit.consent:
                row["consent_id"] = f"consent-{callee}"
        row["end_ms"] = end
        self.made += 1
        self.tenant.rows.append((end, row))
        return end

    def inbound(self, at_ms: int, habit: Habit) -> None:
        """One inbound call."""
        row = {
            "type": "cdr",
            "call_id": f"{self.tenant.id}-{self.made}",
            "tenant_id": self.tenant.id,
            "direction": "inbound",
            "caller": self.fresh(),
            "callee": f"{self.own}0000",
            "start_ms": at_ms,
        }
        if self.rng.random() < 0.9:
            end = at_ms + 5 * SECOND + int(max(0.0, habit.talk()) * SECOND)
            row |= {"outcome": "answered", "answer_ms": at_ms + 5 * SECOND, "end_ms": end}
        else:
            end = at_ms + 20 * SECOND
            row |= {"outcome": "cancelled", "end_ms": end}
        self.made += 1
        self.tenant.rows.append((end, row))

    def complain(self, at_ms: int, category: str, complainant: str | None, status: str = "received") -> None:
        """One complaint in one status."""
        self.made += 1
        row = {
            "type": "complaint",
            "complaint_id": f"{self.tenant.id}-k{self.made}",
            "tenant_id": self.tenant.id,
            "category": category,
            "status": "received",
            "reported_ms": at_ms,
            "updated_ms": at_ms,
            "complainant": complainant,
        }
        self.tenant.rows.append((at_ms, row))
        if status != "received":
            later = at_ms + self.rng.randrange(HOUR, 20 * HOUR)
            self.tenant.rows.append((later, row | {"status": status, "updated_ms": later}))

    # Times of day ---------------------------------------------------------------------------------------------

    def times(self, day_ms: int, count: int, opens: float, closes: float) -> list[int]:
        """Starts within ``[opens, closes)`` hours of the day (which may pass midnight), evenly or with a peak."""
        width = (closes - opens) * HOUR
        shape = self.rng.choice(("even", "even", "peak", "office"))
        found: list[int] = []
        while len(found) < count:
            share = self.rng.random()
            if shape == "peak":
                share = self.rng.gauss(0.45, 0.2)
            elif shape == "office" and 0.4 < share < 0.5 and self.rng.random() < 0.7:
                continue
            if 0 <= share < 1:
                found.append(day_ms + int(opens * HOUR + share * width))
        return sorted(found)

    def spread(self, days: int, daily: int, opens: float, closes: float) -> Iterator[int]:
        """Starts of all days, in order; no two days have the same count."""
        for day in range(days):
            yield from self.times(MONDAY + day * DAY, max(1, round(daily * self.rng.uniform(0.8, 1.2))), opens, closes)

    # Talk times -----------------------------------------------------------------------------------------------

    def talk(self, mean_s: float) -> Talk:
        """Talk times of about that mean, from a random family of distributions."""
        rng = self.rng
        sigma = rng.uniform(0.5, 0.9)
        return rng.choice(
            (
                lambda: rng.expovariate(1 / mean_s),
                lambda: rng.lognormvariate(math.log(mean_s) - sigma * sigma / 2, sigma),
                lambda: rng.uniform(0.2 * mean_s, 1.8 * mean_s),
                lambda: max(1.0, rng.gauss(mean_s, 0.4 * mean_s)),
            )
        )

    def mixed(self, *parts: tuple[float, Talk]) -> Talk:
        """One of several, by weight; the last takes the rest."""

        def drawn() -> float:
            draw = self.rng.random()
            for weight, talk in parts[:-1]:
                if draw < weight:
                    return talk()
                draw -= weight
            return parts[-1][1]()

        return drawn

    def brief(self) -> Talk:
        """The length of a call that is cut off at once: at most six seconds."""
        rng = self.rng
        return rng.choice((lambda: rng.uniform(1, 6), lambda: rng.uniform(0.5, 5.5), lambda: rng.triangular(1, 6, 3)))

    def sales(self) -> Habit:
        """An ordinary outbound desk."""
        rng = self.rng
        short = rng.uniform(0.02, 0.12)
        return Habit(
            asr=rng.uniform(0.3, 0.65),
            talk=self.mixed((short, self.brief()), (1.0, self.talk(rng.uniform(40, 140)))),
            rejected=rng.uniform(0.02, 0.12),
            busy=rng.uniform(0.02, 0.08),
            invalid=rng.uniform(0, 0.04),
            unreachable=rng.uniform(0.01, 0.06),
            carrier_blocked=rng.uniform(0, 0.01),
            cancelled=rng.uniform(0, 0.08),
            callers=rng.randint(1, 10),
            callee_hangs_up=rng.uniform(0.3, 0.6),
            consent=rng.uniform(0.88, 1.0),
            whole_seconds=rng.random() < 0.4,
        )


def write(path: Path, tenants: list[Tenant]) -> None:
    """All records in one file by event time."""
    rows = sorted((row for each in tenants for row in each.rows), key=lambda item: item[0])
    with path.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for _, row in rows)
