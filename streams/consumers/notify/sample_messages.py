"""One message of each kind, to test a channel and its rendering."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from monitor.policy.model import Policy
from monitor.text.durations import DAY, HOUR
from schemas.outputs import (
    Action,
    AffectedEscalation,
    Alert,
    Enforcement,
    EnforcementData,
    EscalationAhead,
    Evidence,
    Measure,
    PolicyRef,
    Reason,
    TierName,
    Window,
)
from streams.consumers.data_loss import RecordsLost
from streams.consumers.notify.channels import Channel, DeliveryFailed
from streams.consumers.notify.messages.data_loss_message import records_lost
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.rules.digest import digest, summary
from streams.consumers.notify.rules.notification_rules import NotificationRules, SilentMessage
from streams.consumers.notify.rules.templates import MessageTemplates, lapse_soon
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle
from streams.kafka.api import TP

TENANT = "callwarden-test"
REPEATED: Final = "repeat_violation"
_REASON = Reason("这是一条测试消息，并无此事", "This is a test, nothing has happened")
_MEASURE = Measure("short_call_ratio", 50, 100, 0.5, 0.25, 0.41)
_AHEAD = EscalationAhead("repeated-violations", "termination", "review", violations=1, at_least=3, window_ms=30 * DAY)


_TIERS: Final[dict[str, TierName | None]] = {
    "termination": "major",
    "ban": "severe",
    "admission_rejected": None,
    "admission_review": None,
    "admission_approved": None,
}
_ACTIONS: Final[dict[str, tuple[Action, ...]]] = {
    "warning": ("warn", "record_violation"),
    "ban": ("ban_account", "record_violation", "forbid_refunds", "reserve_legal_action"),
    "admission_rejected": ("reject_numbers",),
    "admission_approved": ("approve_numbers",),
}


class ChannelAnswer(NamedTuple):
    """A channel's answer to a message."""

    channel: str
    what: str
    ok: bool
    said: str


async def send_samples(channels: list[Channel], policy: Policy, now_ms: int) -> AsyncIterator[ChannelAnswer]:
    """Send one message of each kind to each channel."""
    for channel in channels:
        for message in sample_messages(policy, now_ms):
            if not message.others and not channel.name.startswith("alertmanager"):
                continue
            what = f"{message.what} over" if message.standing == "off" else message.what
            try:
                said = await channel.send([message], [now_ms])
            except DeliveryFailed as failed:
                yield ChannelAnswer(channel.name, what, False, str(failed))
            else:
                yield ChannelAnswer(channel.name, what, True, said)


def sample_messages(policy: Policy, now_ms: int) -> list[Message]:
    """One message of each kind, marked as a test."""
    rules, tenant = NotificationRules(policy, Throttle(delay_ms=0)), TenantState()
    rule = next(rule for rule in policy.rules if rule.mode != "shadow") if policy.rules else None
    rule_id = rule.id if rule else "blind_calling"
    said = rules.alert(TENANT, tenant, _alert(rule_id, "firing", now_ms), now_ms)
    said.messages += rules.tick(TENANT, tenant, now_ms).messages
    said.messages += rules.alert(TENANT, tenant, _alert(rule_id, "resolved", now_ms), now_ms).messages
    for one in (
        _SampleDecision("test-warning", "warning", measure=_MEASURE),
        _SampleDecision("test-pending", "termination", REPEATED, status="pending_review"),
        _SampleDecision("test-termination", "termination", REPEATED, supersedes="test-pending"),
        _SampleDecision("test-reversal", "reversal", REPEATED, reverses="test-termination"),
        _SampleDecision("test-ban", "ban", "verified_fraud_complaint"),
        _SampleDecision("test-application", "admission_rejected", "banned_applicant"),
        _SampleDecision("test-waits", "admission_review", "application_review", status="pending_review"),
        _SampleDecision("test-approved", "admission_approved", "application_review", supersedes="test-waits"),
    ):
        event = _event(one, now_ms)
        change = 1 if event.data.status == "pending_review" else -1 if event.data.supersedes else 0
        said.messages += rules.decision(TENANT, tenant, event, change, now_ms).messages
    affected = AffectedEscalation("repeated-violations", "test-escalation", "final", violations=2, at_least=3)
    messages = [
        *said.messages,
        lapse_soon([("test-pending", TENANT, REPEATED, "termination", now_ms + DAY)], now_ms),
        MessageTemplates().unsupported(TENANT, tenant, affected, now_ms),
        records_lost(RecordsLost(TP("callwarden.alerts", 0), 17, 40), True, now_ms),
        summary([SilentMessage(TENANT, REPEATED, "pending", "critical", now_ms, "test-pending")], now_ms),
        digest([message for message in said.messages if message.others], now_ms),
    ]
    return [_marked(message) for message in messages]


def _marked(message: Message) -> Message:
    title = Reason(f"【测试】{message.title.zh}", f"[Test] {message.title.en}")
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return Message(**fields | {"title": title})


def _alert(rule_id: str, state: str, now_ms: int) -> Alert:
    return Alert(
        "test-alert", TENANT, rule_id, "warning", state, _MEASURE, now_ms, now_ms, None, _REASON  # type: ignore[arg-type]
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _SampleDecision:
    """A decision of the test tenant, by what distinguishes it from the others."""

    id: str
    kind: str
    behaviour: str = "blind_calling"
    status: str = "final"
    measure: Measure | None = None
    supersedes: str | None = None
    reverses: str | None = None


def _event(one: _SampleDecision, now_ms: int) -> Enforcement:
    kind, behaviour, measure = one.kind, one.behaviour, one.measure
    frozen = kind in ("termination", "ban")
    data = EnforcementData(
        tenant_id=TENANT,
        kind=kind,  # type: ignore[arg-type]
        status=one.status,  # type: ignore[arg-type]
        behaviour=behaviour,
        clause={"blind_calling": 6, "verified_fraud_complaint": 1}.get(behaviour),
        tier=_TIERS.get(kind, "minor"),
        actions=_ACTIONS.get(kind, ()),
        proposed_actions=(),
        refunds="released" if one.reverses else "frozen" if frozen else "unaffected",
        rule_id="repeated-violations" if behaviour == REPEATED else behaviour,
        policy=PolicyRef("test", "1", ""),
        decided_ms=now_ms,
        review_by_ms=now_ms + 7 * DAY if one.status == "pending_review" and kind != "admission_review" else None,
        window=Window(now_ms - 24 * HOUR, now_ms) if measure else None,
        measure=measure,
        evidence=Evidence(),
        violations_on_record=1,
        reverses=one.reverses,
        supersedes=one.supersedes,
        reason=_REASON,
        escalations_ahead=(_AHEAD,) if kind == "warning" else (),
    )
    return Enforcement(id=one.id, subject=TENANT, time="", data=data)
