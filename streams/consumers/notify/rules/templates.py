"""Message texts in Chinese and English: what happened, the figures, the tenant's status, what happens next."""

from collections.abc import Sequence
from typing import Final

from monitor.policy.metrics import METRICS
from monitor.reasons.wording import count, rounded, rounded_percent, span
from monitor.report import labels
from monitor.report.labels import label
from monitor.text.bilingual import Bilingual
from monitor.text.display import DEFAULT, Display
from monitor.text.numbers import exact, exact_percent
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import instant
from schemas.outputs import AffectedEscalation, Alert, Enforcement, Measure, Reason
from streams.consumers.notify.messages.labels import WHAT
from streams.consumers.notify.messages.message import Message, MessageItem, Severity, What
from streams.consumers.notify.rules.tenant_state import AlertThread, TenantState

_ESCALATED: Final = "repeat_violation"
_SEVERE: Final = ("termination", "ban")
_MOST_NAMED: Final = 100


class MessageTemplates:
    """Builds the messages about one tenant."""

    def __init__(self, display: Display = DEFAULT) -> None:
        self._display = display

    def fires(
        self, tenant_id: str, tenant: TenantState, behaviour: str, tier: str, thread: AlertThread, now_ms: int
    ) -> Message:
        """A thread fires."""
        severity = thread.severity
        alert_id, alert = next((id_, each) for id_, each in thread.firing.items() if each.severity == severity)
        rules = sorted({each.rule_id for each in thread.firing.values()})
        level = label(labels.SEVERITIES, severity)
        lines = [alert.reason, *_figures(alert.measure)]
        if len(rules) > 1:
            shown = [self._display.id(rule_id) for rule_id in rules]
            lines.append(Reason(f"触发的规则：{'、'.join(shown)}", f"Rules in breach: {', '.join(shown)}"))
        lines += [
            self._standing(tenant),
            Reason(
                "后续：窗口结束后由规则判定；预警可能提前，也可能解除",
                "Next: the rule decides once its window has ended; an alert is early and may be taken back",
            ),
        ]
        return Message(
            id=f"alert:{alert_id}:{now_ms}",
            what="alert",
            severity=severity,
            at_ms=alert.at_ms,
            title=self._title(Bilingual(f"预警·{level.zh}", f"Alert · {level.en}"), tenant_id, behaviour),
            lines=tuple(lines),
            tenant_id=tenant_id,
            behaviour=behaviour,
            tier=tier,
            refs=tuple(thread.firing),
            standing="on",
        )

    def over(self, tenant_id: str, tenant: TenantState, behaviour: str, tier: str, alert: Alert) -> Message:
        """Nothing in a thread fires any more."""
        return Message(
            id=f"over:{alert.alert_id}:{tenant.threads[behaviour].notified_ms}",
            what="alert",
            severity=tenant.threads[behaviour].notified or alert.severity,
            at_ms=alert.updated_ms,
            title=self._title(Bilingual("预警解除", "Alert resolved"), tenant_id, behaviour),
            lines=(fit(alert.reason, ids_of(alert), self._display), *_figures(alert.measure), self._standing(tenant)),
            tenant_id=tenant_id,
            behaviour=behaviour,
            tier=tier,
            refs=(alert.alert_id,),
            standing="off",
        )

    def superseded(self, tenant_id: str, behaviour: str, tier: str, severity: Severity, now_ms: int) -> Message:
        """The thread continues with a higher severity."""
        return self._ends(
            f"worse:{tenant_id}:{behaviour}:{now_ms}", "alert", tenant_id, behaviour, tier, severity, now_ms
        )

    def outlasted(self, tenant_id: str, behaviour: str, tier: str, severity: Severity, now_ms: int) -> Message:
        """An alert has fired for so long without an update that it is considered over."""
        return self._ends(
            f"outlasted:{tenant_id}:{behaviour}:{now_ms}", "alert", tenant_id, behaviour, tier, severity, now_ms
        )

    def review_unknown(
        self, tenant_id: str, behaviour: str, tier: str, severity: Severity, since_ms: int, now_ms: int
    ) -> Message:
        """The review deadline of the thread's decisions, the last of ``since_ms``, has passed without a known outcome.

        Another one may be made, and its deadline pass, at the same instant.
        """
        id_ = f"unheard:{tenant_id}:{behaviour}:{severity}:{tier}:{since_ms}:{now_ms}"
        return self._ends(id_, "pending", tenant_id, behaviour, tier, severity, now_ms)

    def waits_no_more(self, event: Enforcement, behaviour: str, tier: str, severity: Severity) -> Message:
        """Since ``event``, no decision of the thread is pending."""
        id_ = f"decided:{event.id}:{behaviour}:{severity}:{tier}"
        return self._ends(id_, "pending", event.subject, behaviour, tier, severity, event.data.decided_ms)

    def decided(self, tenant: TenantState, event: Enforcement, what: What, severity: Severity) -> Message:
        """A decision."""
        data = event.data
        kind = label(labels.KINDS, data.kind)
        zh, en = kind
        if data.tier and data.kind not in ("reversal", "lapse"):
            tier = label(labels.TIERS, data.tier)
            zh, en = f"{tier.zh}·{zh}", f"{tier.en} · {en}"
        if what == "pending" and data.kind != "admission_review":  # its name says so
            zh, en = f"{zh}（待复核）", f"{en} (pending review)"
        return Message(
            id=f"decision:{event.id}",
            what=what,
            severity=severity,
            at_ms=data.decided_ms,
            title=self._title(Bilingual(zh, en), event.subject, data.behaviour),
            lines=(
                fit(data.reason, ids_of(event), self._display),
                *_figures(data.measure),
                self._standing(tenant),
                self._next(tenant, event),
            ),
            tenant_id=event.subject,
            behaviour=data.behaviour,
            tier=data.tier or "none",
            refs=(event.id,),
            standing="on" if what == "pending" else None,
        )

    def unsupported(self, tenant_id: str, tenant: TenantState, affected: AffectedEscalation, at_ms: int) -> Message:
        """A final escalation has lost too many of the violations that it is based on."""
        id_, left, least = affected.enforcement_id, affected.violations, affected.at_least
        rule = self._display.id(affected.rule_id)
        lines = (
            Reason(
                f"最终的“{rule}”决定所依据的违规撤销后仅余 {left} 次，不足 {least} 次",
                f"Of the violations that the final decision by “{rule}” rests on, only {left} "
                f"{'is' if left == 1 else 'are'} left unreversed, fewer than {least}",
            ),
            self._standing(tenant),
            Reason(
                f"后续：该决定不会自动撤销，须有人查看：callwarden reviews show {id_}",
                f"Next: it is not reversed automatically, a person must check: callwarden reviews show {id_}",
            ),
        )
        return Message(
            id=f"unsupported:{id_}",
            what="escalation_unsupported",
            severity="critical",
            at_ms=at_ms,
            title=self._title(WHAT["escalation_unsupported"], tenant_id, _ESCALATED),
            lines=lines,
            tenant_id=tenant_id,
            behaviour=_ESCALATED,
            refs=(id_,),
        )

    # ------------------------------------------------------------------------------------------------------------

    def _title(self, what: Bilingual, tenant_id: str, behaviour: str) -> Reason:
        """``behaviour``: an alert by a rule that the policy does not have has the rule's id in its place."""
        tenant, shown = self._display.tenant(tenant_id), self._display.id(behaviour)
        name = labels.BEHAVIOURS.get(behaviour)
        zh, en = (name.zh, name.en.lower()) if name else (shown, shown)
        return Reason(f"{what.zh}：租户 {tenant}，{zh}", f"{what.en}: tenant {tenant}, {en}")

    def _ends(
        self, id_: str, what: What, tenant_id: str, behaviour: str, tier: str, severity: Severity, at_ms: int
    ) -> Message:
        return Message(
            id=id_,
            what=what,
            severity=severity,
            at_ms=at_ms,
            title=self._title(WHAT[what], tenant_id, behaviour),
            tenant_id=tenant_id,
            behaviour=behaviour,
            tier=tier,
            standing="off",
            others=False,
        )

    def _standing(self, tenant: TenantState) -> Reason:
        """Violations on record, pending decisions, holds on refunds, and a ban or termination in force."""
        pending, holds = tenant.pending, sum(case.frozen for case in tenant.cases.values())
        stopped = label(labels.STANDINGS, {"ban": "banned", "termination": "terminated"}.get(tenant.stopped or "", ""))
        zh = f"租户现状：在案违规 {count(tenant.on_record)} 次，待复核 {count(pending)} 件，退款冻结 {count(holds)} 项"
        en = (
            f"Status: {count(tenant.on_record)} violation{_s(tenant.on_record)} on record, {count(pending)} pending, "
            f"{count(holds)} hold{_s(holds)} on refunds"
        )
        return Reason(f"{zh}，{stopped.zh}", f"{en}, {stopped.en.lower()}") if stopped.zh else Reason(zh, en)

    def _next(self, tenant: TenantState, event: Enforcement) -> Reason:
        """What happens next, automatically or by a person."""
        data = event.data
        if data.kind == "admission_review":
            return Reason(
                f"后续：须审核通过或驳回（callwarden reviews show {event.id}），不会自动失效",
                f"Next: approve or reject it (callwarden reviews show {event.id}); it does not lapse",
            )
        if data.kind == "admission_approved":
            return Reason("后续：开通号码", "Next: assign the numbers")
        if data.status == "pending_review":
            by = instant(data.review_by_ms) if data.review_by_ms is not None else "?"
            return Reason(
                f"后续：须在 {by} 前复核（callwarden reviews show {event.id}），否则自动失效",
                f"Next: review it by {by} (callwarden reviews show {event.id}), or it lapses",
            )
        if data.kind in ("reversal", "lapse"):
            holds = sum(case.frozen for case in tenant.cases.values())
            if data.refunds == "released" and not holds:
                return Reason("后续：退款冻结已全部解除", "Next: no hold on refunds is left")
            return Reason("后续：该决定不再有效", "Next: the decision is no longer in force")
        if tenant.stopped:
            return Reason(
                "后续：在其撤销之前，度量规则与升级规则不再对该租户作出决定",
                "Next: until it is reversed, measured rules and escalations make no decisions on this tenant",
            )
        if not data.escalations_ahead:
            return Reason("后续：无", "Next: nothing")
        nearest = min(data.escalations_ahead, key=lambda each: each.at_least - each.violations)
        kind = label(labels.KINDS, nearest.kind)
        long_zh, long_en = span(nearest.window_ms)
        review_zh, review_en = ("（须人工复核）", " (for review)") if nearest.mode == "review" else ("", "")
        return Reason(
            f"后续：{long_zh}内满 {nearest.at_least} 次违规即{kind.zh}{review_zh}，已计 {nearest.violations} 次",
            f"Next: {nearest.at_least} violations within {long_en} bring {kind.en.lower()}{review_en}; "
            f"counted so far: {nearest.violations}",
        )


def lapse_soon(pending: Sequence[tuple[str, str, str, str, int]], now_ms: int, display: Display = DEFAULT) -> Message:
    """Decisions that lapse soon, each (id, tenant, behaviour, kind, review by), first to lapse first.

    The first 100 are named and the others counted: a receiver refuses a message of megabytes.
    """
    items = tuple(
        MessageItem(
            tenant_id,
            behaviour,
            "critical" if kind in _SEVERE else "warning",
            Reason(
                f"{instant(by_ms)} 失效：租户 {display.tenant(tenant_id)}，{label(labels.KINDS, kind).zh}，"
                f"{label(labels.BEHAVIOURS, behaviour).zh}",
                f"lapses {instant(by_ms)}: tenant {display.tenant(tenant_id)}, {label(labels.KINDS, kind).en.lower()}, "
                f"{label(labels.BEHAVIOURS, behaviour).en.lower()}",
            ),
            id_,
        )
        for id_, tenant_id, behaviour, kind, by_ms in pending[:_MOST_NAMED]
    )
    n, more = len(pending), len(pending) - len(items)
    lines = [
        Reason(
            "后续：callwarden reviews list 查看并复核，否则自动失效",
            "Next: review them (callwarden reviews list), or they lapse",
        )
    ]
    if more:
        lines.append(Reason(f"另有 {count(more)} 件，失效更晚", f"and {count(more)} more, which lapse later"))
    return Message(
        id=f"lapse:{items[0].ref}:{now_ms}",
        what="lapse_soon",
        severity="critical" if any(kind in _SEVERE for _, _, _, kind, _ in pending) else "warning",
        at_ms=now_ms,
        title=Reason(
            f"{count(n)} 件待复核决定即将失效", f"{count(n)} pending decision{_s(n)} about to lapse without a review"
        ),
        lines=tuple(lines),
        items=items,
        refs=tuple(item.ref or "" for item in items),
    )


def _figures(measure: Measure | None) -> list[Reason]:
    """The measure and its threshold."""
    if measure is None or measure.value is None:
        return []
    name = label(labels.METRIC_NAMES, measure.metric)
    value_zh, value_en = _amount(measure.metric, measure.value, measure.threshold)
    limit_zh, limit_en = _amount(measure.metric, measure.threshold, None)
    return [
        Reason(
            f"指标：{name.zh} {value_zh}，阈值 {limit_zh}",
            f"Measure: {name.en.lower() if name.en[1:2].islower() else name.en} {value_en}, threshold {limit_en}",
        )
    ]


def _amount(metric: str, value: float, beside: float | None) -> tuple[str, str]:
    """A value rounded so that it stays on its side of ``beside``; or, for None, a threshold in full."""
    known = METRICS.get(metric)
    unit = known.unit if known else "count"
    if unit == "ratio":
        text = exact_percent(value) if beside is None else rounded_percent(value, (beside, 1.0))
        return f"{text}%", f"{text} %"
    text = exact(value) if beside is None or unit == "count" else rounded(value, (beside,))
    return (f"{text} 秒", f"{text} s") if unit == "seconds" else (text, text)


def fit(reason: Reason, ids: Sequence[str] = (), display: Display = DEFAULT) -> Reason:
    """A sentence from the topic for display and storage: numbers masked, ``ids`` shown, length limited."""
    return Reason(display.reason(reason.zh, ids, 500), display.reason(reason.en, ids, 800))


def _s(n: int) -> str:
    return "" if n == 1 else "s"
