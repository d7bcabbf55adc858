"""The notifier's state of a tenant: alert threads, decisions pending or in force, violations. Plain data."""

from typing import Final

from msgspec import Struct, field

from monitor.text.durations import DAY
from schemas.inputs import END_MS
from schemas.outputs import Measure, Reason
from streams.consumers.notify.messages.message import Severity, What

_LONGEST_MS: Final = 30 * DAY
_NEVER_MS: Final = END_MS


class NotifiedAlert(Struct):
    """A rule in breach, as of its last alert; ``handled_ms``: when that alert was handled."""

    rule_id: str
    severity: Severity
    at_ms: int
    measure: Measure | None
    reason: Reason
    handled_ms: int = 0

    @property
    def until_ms(self) -> int:
        """When it is considered over unless it is updated: its end may have been lost."""
        return (self.handled_ms or self.at_ms) + _LONGEST_MS


class AlertThread(Struct):
    """The alerts and notifications about one behaviour of a tenant.

    ``firing``: the alerts by id. ``notify_ms``: when a message will be sent unless they end before; ``notified_ms``:
    when the last one was. ``notified``: the severity that was sent; None if nothing was, or the end was. ``decided``:
    when each kind of decision was last sent. ``pending``: the severities and tiers under which Alertmanager was
    notified of pending decisions.
    """

    firing: dict[str, NotifiedAlert] = field(default_factory=dict)
    notify_ms: int | None = None
    notified_ms: int | None = None
    notified: Severity | None = None
    decided: dict[What, int] = field(default_factory=dict)
    pending: list[tuple[Severity, str]] = field(default_factory=list)

    def end(self) -> None:
        """Nothing fires any more. The end is only sent if the beginning was."""
        self.firing.clear()
        self.notify_ms = self.notified = None

    @property
    def severity(self) -> Severity:
        """The highest severity that fires."""
        severities = {alert.severity for alert in self.firing.values()}
        return next(level for level in ("critical", "warning", "info") if level in severities)

    def idle(self, before_ms: int) -> bool:
        """Whether nothing is active and nothing was sent since ``before_ms``."""
        sent_ms = max([self.notified_ms or 0, *self.decided.values()])
        return not self.firing and self.notified is None and not self.pending and sent_ms < before_ms


class NotifiedCase(Struct):
    """A decision that is pending, a termination or ban in force, or one that holds refunds."""

    what: str
    behaviour: str
    pending: bool
    frozen: bool
    review_by_ms: int | None


class PendingAdmissions(Struct):
    """How many decisions on admission of one behaviour are pending, and their latest review deadline, epoch ms.

    They are counted, not listed: a tenant can send any number of applications, and its state is read and written with
    each of its records.
    """

    count: int = 0
    until_ms: int = 0


class TenantState(Struct):
    """One tenant: threads by behaviour, cases by the id in force.

    ``admissions`` are the pending ones by behaviour; a decision on admission is no case. ``on_record``: how many
    violations the newest decision has reported.
    """

    threads: dict[str, AlertThread] = field(default_factory=dict)
    cases: dict[str, NotifiedCase] = field(default_factory=dict)
    admissions: dict[str, PendingAdmissions] = field(default_factory=dict)
    on_record: int = 0

    @property
    def stopped(self) -> str | None:
        """The most severe decision in force: a ban, a termination, or None."""
        standing = {case.what for case in self.cases.values() if not case.pending}
        return next((what for what in ("ban", "termination") if what in standing), None)

    @property
    def due_ms(self) -> int | None:
        """When the next timer of the tenant is due: a message to send, or an alert or pending case that expires."""
        threads = self.threads.values()
        due = [thread.notify_ms for thread in threads if thread.notify_ms is not None]
        due += [alert.until_ms for thread in threads for alert in thread.firing.values()]
        due += [self.waits_until_ms(behaviour) for behaviour, thread in self.threads.items() if thread.pending]
        return min(due, default=None)

    def waits_until_ms(self, behaviour: str) -> int:
        """The latest review deadline of the behaviour's pending decisions, epoch ms; 0 if there is none."""
        due = [self.admissions[behaviour].until_ms] if behaviour in self.admissions else []
        due += [case.review_by_ms or 0 for case in self.cases.values() if case.pending and case.behaviour == behaviour]
        return max(due, default=0)

    @property
    def pending(self) -> int:
        """How many decisions are pending."""
        waiting = sum(pending.count for pending in self.admissions.values())
        return waiting + sum(case.pending for case in self.cases.values())

    def admit(self, behaviour: str, change: int, review_by_ms: int | None) -> None:
        """``change`` more decisions on admission are pending, the newest with this deadline.

        None: an application that waits without a deadline.
        """
        pending = self.admissions.setdefault(behaviour, PendingAdmissions())
        pending.count += change
        if change > 0:
            pending.until_ms = max(pending.until_ms, _NEVER_MS if review_by_ms is None else review_by_ms)
        if pending.count <= 0:
            del self.admissions[behaviour]

    @property
    def empty(self) -> bool:
        """Whether it holds nothing that could matter later."""
        return not (self.threads or self.cases or self.admissions or self.on_record)
