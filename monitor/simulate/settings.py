"""The settings of a simulator run."""

from dataclasses import dataclass

from schemas.inputs import END_MS, MIN_MS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# Asia/Shanghai has had one offset since 1991.
SHANGHAI_MS = 8 * HOUR_MS
# 2026-03-02T00:00:00+08:00, a Monday.
DEFAULT_START_MS = 1_772_380_800_000
DEFAULT_CALLS_PER_TENANT = 150
_MOST_CALLS = 1_000_000_000
_MAX_LATENESS_MS = 70 * DAY_MS


@dataclass(frozen=True, slots=True)
class SimulationSettings:
    """One run. ``calls_per_day`` is the expected number on a weekday for all tenants; shares are of calls.

    ``start_ms`` is rounded down to the hour. ``optional`` False simulates a platform that fills neither ``consent_id``
    nor ``hangup_by`` nor ring times. ``open_bans`` omits the reviews that overturn wrong bans. ``mark`` keeps the ids
    of runs distinct whose records are merged.
    """

    tenants: int
    days: int
    seed: int
    calls_per_day: float
    start_ms: int = DEFAULT_START_MS
    lateness_ms: int = 600_000
    late_share: float = 0.0005
    duplicate_share: float = 0.001
    optional: bool = True
    open_bans: bool = False
    split: bool = False
    mark: int = 0

    def __post_init__(self) -> None:
        if self.tenants < 1 or self.days < 1 or self.seed < 0:
            raise ValueError("tenants and days are at least 1, the seed at least 0")
        if not 0 <= self.mark < 1 << 31:
            raise ValueError(f"the mark is {self.mark}, expected 0 to 2^31 - 1")
        if not 0 < self.calls_per_day <= _MOST_CALLS:
            raise ValueError(f"calls per day is {self.calls_per_day}, expected more than 0, at most {_MOST_CALLS:,}")
        if self.lateness_ms < 1_000:
            raise ValueError(f"lateness is {self.lateness_ms} ms, expected at least a second")
        if self.lateness_ms > _MAX_LATENESS_MS:
            raise ValueError(f"lateness is {self.lateness_ms} ms, expected at most 70 days")
        if not MIN_MS + DAY_MS <= self.start_ms < END_MS - (self.days + 1) * DAY_MS:
            raise ValueError("the run must lie in the years 1990 to 2099, as all times do")
        for name, share in (("late share", self.late_share), ("duplicate share", self.duplicate_share)):
            if not 0 <= share <= 0.5:
                raise ValueError(f"{name} is {share}, expected 0 to 0.5")
        object.__setattr__(self, "start_ms", self.start_ms // HOUR_MS * HOUR_MS)

    @property
    def end_ms(self) -> int:
        """The end of the last day."""
        return self.start_ms + self.days * DAY_MS
