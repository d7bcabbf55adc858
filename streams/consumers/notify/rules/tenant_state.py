"""What the notifier knows of a tenant: threads of alerts, decisions that wait or stand, violations. Plain data."""

from typing import Final

from msgspec import Struct, field

from monitor.text.durations import DAY
from schemas.outputs import Measure, Reason
from streams.consumers.notify.messages.message import Severity, What

_LONGEST_MS: Final = 30 * DAY


class NotifiedAlert(Struct):
    """A rule that is in breach, as its alert last said; ``heard_ms``: when it said so."""

    rule_id: str
    severity: Severity
    at_ms: int
    measure: Measure | None
    reason: Reason
    heard_ms: int = 0

    @property
    def until_ms(self) -> int:
        """When it is taken for over, unless it is heard of again: that it is may have been lost."""
        return (self.heard_ms or self.at_ms) + _LONGEST_MS


class AlertThread(Struct):
    """All that is going on with one behaviour of a tenant: what fires, and who was told of it.

    ``firing`` are the alerts, by id. ``tell_ms``: when people will be told that it fires unless it is over by then;
    ``told_ms``: when they were, or would have been had they not just heard of it. ``told``: the severity of which
    they were told that it fires, None when they were not, or were told that it is over. ``decided``: when each kind
    of decision was last told. ``pending``: as how bad Alertmanager was told
    that decisions wait, and in which tier.
    """

    firing: dict[str, NotifiedAlert] = field(default_factory=dict)
    tell_ms: int | None = None
    told_ms: int | None = None
    told: Severity | None = None
    decided: dict[What, int] = field(default_factory=dict)
    pending: list[tuple[Severity, str]] = field(default_factory=list)

    def end(self) -> None:
        """Nothing fires any more. Whoever was not told that it began need not hear that it is over."""
        self.firing.clear()
        self.tell_ms = self.told = None

    @property
    def severity(self) -> Severity:
        """Of the worst that fires."""
        severities = {alert.severity for alert in self.firing.values()}
        return next(level for level in ("critical", "warning", "info") if level in severities)

    def idle(self, before_ms: int) -> bool:
        """Whether nothing is going on, and nobody was told anything since ``before_ms``."""
        told = max(self.decided.values(), default=0), self.told_ms or 0
        return not self.firing and self.told is None and not self.pending and max(told) < before_ms


class NotifiedCase(Struct):
    """A decision that is pending, that stands (a termination, a ban), or that holds refunds.

    Of an escalation, ``used`` are the violations it named that are not reversed, ``left`` how many are left of all
    that it used, ``at_least`` how many it takes.
    """

    what: str
    behaviour: str
    rule_id: str
    pending: bool
    frozen: bool
    review_by_ms: int | None
    used: list[str] = field(default_factory=list)
    left: int | None = None
    at_least: int | None = None

    @property
    def unsupported(self) -> bool:
        """Whether too few of an escalation's violations are left."""
        return self.left is not None and self.at_least is not None and self.left < self.at_least


class NotifiedViolation(Struct):
    """One on record; ``used_by`` are the escalations that have used it."""

    id: str
    decided_ms: int
    used_by: list[str] = field(default_factory=list)


class TenantState(Struct):
    """One tenant: threads by behaviour, cases by the id in force, violations in the order of time."""

    threads: dict[str, AlertThread] = field(default_factory=dict)
    cases: dict[str, NotifiedCase] = field(default_factory=dict)
    violations: list[NotifiedViolation] = field(default_factory=list)
    on_record: int = 0

    @property
    def stopped(self) -> str | None:
        """The worst that stands against it: a ban, a termination, or nothing."""
        standing = {case.what for case in self.cases.values() if not case.pending}
        return next((what for what in ("ban", "termination") if what in standing), None)

    @property
    def due_ms(self) -> int | None:
        """When somebody is to be told something unless it is over by then, or something has lasted for too long."""
        threads = self.threads.values()
        due = [thread.tell_ms for thread in threads if thread.tell_ms is not None]
        due += [alert.until_ms for thread in threads for alert in thread.firing.values()]
        due += [self.waits_until_ms(behaviour) for behaviour, thread in self.threads.items() if thread.pending]
        return min(due, default=None)

    def waits_until_ms(self, behaviour: str) -> int:
        """Until when a review can decide a pending case of a behaviour; 0 when there is none."""
        cases = [case for case in self.cases.values() if case.pending and case.behaviour == behaviour]
        return max((case.review_by_ms or 0 for case in cases), default=0)

    @property
    def empty(self) -> bool:
        """Whether nothing is known that could matter later."""
        return not (self.threads or self.cases or self.violations)
