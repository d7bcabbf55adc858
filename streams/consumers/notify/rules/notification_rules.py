"""Decides what to send about a tenant: alerts, decisions and the time in, messages out. No clock, no I/O."""

from dataclasses import dataclass, field

from monitor.policy.model import Policy
from monitor.text.display import DEFAULT, Display
from monitor.text.record_ids import ids_of
from schemas.outputs import Alert, Enforcement
from streams.consumers.notify.messages.message import Message, Severity, What, rank
from streams.consumers.notify.rules.templates import MessageTemplates, fit
from streams.consumers.notify.rules.tenant_state import (
    AlertThread,
    NotifiedAlert,
    NotifiedCase,
    TenantState,
)
from streams.consumers.notify.rules.throttle import Throttle


@dataclass(frozen=True, slots=True)
class SilentMessage:
    """A message that was not sent because people had just been notified of the same; the daily summary counts it."""

    tenant_id: str
    behaviour: str
    what: What
    severity: Severity
    at_ms: int
    ref: str


@dataclass(slots=True)
class RuleOutput:
    """The result of one record or of a timer: messages to send, and silent ones, in order."""

    messages: list[Message] = field(default_factory=list)
    silent: list[SilentMessage] = field(default_factory=list)


class NotificationRules:
    """Updates a tenant's state (`TenantState`) and returns the messages about it."""

    def __init__(self, policy: Policy, throttle: Throttle, display: Display = DEFAULT) -> None:
        self.policy, self._display = policy, display
        self._throttle = throttle
        self._behaviours = {rule.id: rule.behaviour for rule in policy.rules}
        self._tiers = {behaviour.id: behaviour.tier for behaviour in policy.behaviours.values()}
        self._words = MessageTemplates(display)

    def alert(self, tenant_id: str, tenant: TenantState, alert: Alert, now_ms: int) -> RuleOutput:
        """Handle an alert that fires, is sent again, or is resolved."""
        said = RuleOutput()
        if alert.state == "resolved":
            self._resolve(tenant_id, tenant, alert, said)
        elif rank(alert.severity) >= rank(self._throttle.least):
            behaviour = self.behaviour_of(alert.rule_id)
            thread = tenant.threads.setdefault(behaviour, AlertThread())
            began = not thread.firing
            reason = fit(alert.reason, ids_of(alert), self._display)
            thread.firing[alert.alert_id] = NotifiedAlert(
                alert.rule_id, alert.severity, alert.updated_ms, alert.measure, reason, now_ms
            )
            self._fires(tenant_id, tenant, behaviour, thread, began, now_ms, said)
        self._forget(tenant, now_ms)
        return said

    def decision(self, tenant_id: str, tenant: TenantState, event: Enforcement, change: int, now_ms: int) -> RuleOutput:
        """Handle a decision, an upholding, a reversal or a lapse. ``change``: how many more decisions are pending."""
        said, data = RuleOutput(), event.data
        tenant.on_record = data.violations_on_record
        # The case that the event makes final or takes back: its old id is no longer in force.
        tenant.cases.pop(data.supersedes or data.reverses or "", None)
        if data.tier is None:
            tenant.admit(data.behaviour, change, data.review_by_ms)
        elif data.kind not in ("reversal", "lapse"):
            self._record(tenant, event)
        thread = tenant.threads.setdefault(data.behaviour, AlertThread())
        what: What = "pending" if data.status == "pending_review" or data.kind == "admission_review" else data.kind
        severity = _severity(event)
        last_ms = thread.decided.get(what)
        # A review's outcome is always sent, because people act on it. A lapse is not: it was announced.
        always = data.supersedes is not None or what == "reversal"
        new = last_ms is None or now_ms - last_ms >= self._throttle.quiet_ms
        if always or (new and what != "lapse"):
            thread.decided[what] = now_ms
            said.messages.append(self._words.decided(tenant, event, what, severity))
            if what == "pending" and (severity, data.tier or "none") not in thread.pending:
                thread.pending.append((severity, data.tier or "none"))
        else:
            said.silent.append(SilentMessage(tenant_id, data.behaviour, what, severity, data.decided_ms, event.id))
        if what == "reversal":
            self._notify_again(tenant, thread, now_ms)
        elif what != "lapse":
            thread.notify_ms = None  # the decision has reported it
        self._waits_no_more(tenant, event, said)
        for affected in data.escalations_affected:
            # The count falls by one at a time, so that this is true once for each decision.
            if affected.status == "final" and affected.violations == affected.at_least - 1:
                said.messages.append(self._words.unsupported(tenant_id, tenant, affected, data.decided_ms))
        self._forget(tenant, now_ms)
        return said

    def tick(self, tenant_id: str, tenant: TenantState, now_ms: int) -> RuleOutput:
        """Run the timers: send alerts that have fired long enough, and end those that have fired for too long."""
        said = RuleOutput()
        for behaviour, thread in tenant.threads.items():
            self._outlast(tenant_id, behaviour, thread, now_ms, said)
            if thread.pending and tenant.waits_until_ms(behaviour) <= now_ms:
                # Its lapse may have been lost; a review can no longer come first.
                since_ms = thread.decided.get("pending", 0)
                for severity, tier in thread.pending:
                    unknown = self._words.review_unknown(tenant_id, behaviour, tier, severity, since_ms, now_ms)
                    said.messages.append(unknown)
                thread.pending = []
            if thread.notify_ms is not None and thread.notify_ms <= now_ms:
                thread.notify_ms = None
                if tenant.stopped:
                    continue  # nothing follows now; it is sent if the decision is reversed
                self._notify(tenant_id, tenant, behaviour, thread, now_ms, said)
        self._forget(tenant, now_ms)
        return said

    def behaviour_of(self, rule_id: str) -> str:
        """The behaviour of a rule; a rule that the policy does not have is a thread of its own."""
        return self._behaviours.get(rule_id, rule_id)

    # Alerts -----------------------------------------------------------------------------------------------------

    def _fires(
        self,
        tenant_id: str,
        tenant: TenantState,
        behaviour: str,
        thread: AlertThread,
        began: bool,
        now_ms: int,
        said: RuleOutput,
    ) -> None:
        worst = thread.severity
        if thread.notified is not None:
            if rank(worst) > rank(thread.notified):
                # For Alertmanager this is a different alert: severity is one of its labels.
                tier = self._tier(behaviour)
                said.messages.append(self._words.superseded(tenant_id, behaviour, tier, thread.notified, now_ms))
                self._notify(tenant_id, tenant, behaviour, thread, now_ms, said)
        elif tenant.stopped or thread.notify_ms is not None:
            pass  # while a termination or a ban is in force, no measured rule decides: nothing follows
        elif began and self._recently_notified(thread, now_ms):
            alert_id, alert = next(iter(thread.firing.items()))
            said.silent.append(SilentMessage(tenant_id, behaviour, "alert", worst, alert.at_ms, alert_id))
        elif began:
            thread.notify_ms = now_ms + self._throttle.delay_ms

    def _resolve(self, tenant_id: str, tenant: TenantState, alert: Alert, said: RuleOutput) -> None:
        """Remove the alert from every thread: the policy and the severity may have changed since it began."""
        for behaviour, thread in tenant.threads.items():
            if thread.firing.pop(alert.alert_id, None) and not thread.firing:
                if thread.notified is not None:
                    said.messages.append(self._words.over(tenant_id, tenant, behaviour, self._tier(behaviour), alert))
                thread.end()

    def _outlast(self, tenant_id: str, behaviour: str, thread: AlertThread, now_ms: int, said: RuleOutput) -> None:
        for alert_id in [id_ for id_, alert in thread.firing.items() if alert.until_ms <= now_ms]:
            del thread.firing[alert_id]
        if not thread.firing:
            if thread.notified is not None:
                tier = self._tier(behaviour)
                said.messages.append(self._words.outlasted(tenant_id, behaviour, tier, thread.notified, now_ms))
            thread.end()

    def _notify_again(self, tenant: TenantState, thread: AlertThread, now_ms: int) -> None:
        """After a reversal, the next decision is news again, and so is everything that still fires."""
        thread.decided = {"reversal": now_ms}
        thread.notified_ms = None
        if not tenant.stopped:
            for other in tenant.threads.values():
                if (
                    other.firing
                    and other.notified is None
                    and other.notify_ms is None
                    and not self._recently_notified(other, now_ms)
                ):
                    other.notify_ms = now_ms + self._throttle.delay_ms

    def _notify(
        self, tenant_id: str, tenant: TenantState, behaviour: str, thread: AlertThread, now_ms: int, said: RuleOutput
    ) -> None:
        said.messages.append(self._words.fires(tenant_id, tenant, behaviour, self._tier(behaviour), thread, now_ms))
        thread.notified, thread.notified_ms = thread.severity, now_ms

    def _recently_notified(self, thread: AlertThread, now_ms: int) -> bool:
        """Whether people were just notified of it, by an alert or by a decision."""
        times = [at for what, at in thread.decided.items() if what != "reversal"]
        times += [thread.notified_ms] if thread.notified_ms is not None else []
        return bool(times) and now_ms - max(times) < self._throttle.quiet_ms

    # Decisions --------------------------------------------------------------------------------------------------

    def _record(self, tenant: TenantState, event: Enforcement) -> None:
        data = event.data
        final = data.status == "final"
        case = NotifiedCase(data.kind, data.behaviour, not final, data.refunds == "frozen", data.review_by_ms)
        if case.pending or case.frozen or case.what in ("termination", "ban"):
            tenant.cases[event.id] = case

    def _waits_no_more(self, tenant: TenantState, event: Enforcement, said: RuleOutput) -> None:
        """Notify Alertmanager when no decision of a thread is pending; other channels get the decisions' outcomes."""
        waiting = {case.behaviour for case in tenant.cases.values() if case.pending} | tenant.admissions.keys()
        for behaviour, thread in tenant.threads.items():
            if behaviour in waiting:
                continue
            for severity, tier in thread.pending:
                said.messages.append(self._words.waits_no_more(event, behaviour, tier, severity))
            thread.pending = []

    # ------------------------------------------------------------------------------------------------------------

    def _tier(self, behaviour: str) -> str:
        return self._tiers.get(behaviour, "none")

    def _forget(self, tenant: TenantState, now_ms: int) -> None:
        """Drop the threads without recent messages."""
        quiet_before_ms = now_ms - self._throttle.quiet_ms
        for behaviour in [key for key, thread in tenant.threads.items() if thread.idle(quiet_before_ms)]:
            del tenant.threads[behaviour]


def _severity(event: Enforcement) -> Severity:
    """A decision's severity: critical for the tiers that end service."""
    data = event.data
    if data.kind in ("admission_review", "admission_approved"):
        return "info"
    if data.kind in ("reversal", "lapse"):
        return "warning"
    return "critical" if data.tier in ("major", "severe") else "warning"
