"""Digests: which messages are sent one by one and which in a digest; and the daily summary of silent messages."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from monitor.reasons.wording import count
from monitor.report.labels import label
from monitor.text.display import DEFAULT, Display
from schemas.outputs import Reason
from streams.consumers.notify.messages.labels import WHAT
from streams.consumers.notify.messages.message import Message, MessageItem, rank
from streams.consumers.notify.rules.notification_rules import SilentMessage

_WORST = 10
_TENANTS = 10


class DigestPlan(NamedTuple):
    """What to send next: single messages, then one digest of the others, if any."""

    single: list[Message]
    digested: list[Message]


def plan(waiting: Sequence[Message], room: int) -> DigestPlan:
    """Plan ``waiting``, oldest first, with room for ``room`` messages: all, or the worst ones and a digest."""
    if room <= 0:
        return DigestPlan([], [])
    if len(waiting) <= room:
        return DigestPlan(list(waiting), [])
    worst = sorted(range(len(waiting)), key=lambda at: (-rank(waiting[at].severity), at))
    chosen = sorted(worst[: room - 1])
    kept = set(chosen)
    return DigestPlan([waiting[at] for at in chosen], [m for at, m in enumerate(waiting) if at not in kept])


def digest(messages: Sequence[Message], now_ms: int, unnamed: Collection[str] = ()) -> Message:
    """One message for many: the count of each kind, and the worst ones.

    ``unnamed``: ids of messages that are only counted, because their text may be what makes a receiver fail.
    """
    n = len(messages)
    tenants = len({m.tenant_id for m in messages if m.tenant_id})
    worst = sorted((m for m in messages if m.id not in unnamed), key=lambda m: -rank(m.severity))[:_WORST]
    return Message(
        id=f"digest:{messages[0].id}:{n}:{now_ms}",
        what="digest",
        severity=max((m.severity for m in messages), key=rank),
        at_ms=now_ms,
        title=Reason(
            f"{count(n)} 条消息的摘要，涉及 {count(tenants)} 个租户",
            f"A digest of {count(n)} messages about {count(tenants)} tenant{'' if tenants == 1 else 's'}",
        ),
        lines=(_counted((m.what, "off" if m.standing == "off" else "") for m in messages),),
        items=tuple(MessageItem(m.tenant_id, m.behaviour, m.severity, m.title) for m in worst),
        refs=tuple(ref for m in worst for ref in m.refs[:1]),
    )


def summary(silent: Sequence[SilentMessage], at_ms: int, display: Display = DEFAULT) -> Message:
    """The daily summary of messages that were not sent because people had just been notified of the same."""
    n = len(silent)
    by_tenant = Counter(each.tenant_id for each in silent)
    worst = {
        tenant_id: max((each for each in silent if each.tenant_id == tenant_id), key=lambda each: rank(each.severity))
        for tenant_id, _ in by_tenant.most_common(_TENANTS)
    }
    items = tuple(
        MessageItem(
            tenant_id,
            each.behaviour,
            each.severity,
            Reason(
                f"租户 {display.tenant(tenant_id)}：{count(by_tenant[tenant_id])} 条",
                f"tenant {display.tenant(tenant_id)}: {count(by_tenant[tenant_id])}",
            ),
        )
        for tenant_id, each in worst.items()
    )
    more = len(by_tenant) - len(items)
    lines = [_counted((each.what, "") for each in silent)]
    if more:
        lines.append(Reason(f"另有 {count(more)} 个租户", f"and {count(more)} more tenant{'' if more == 1 else 's'}"))
    return Message(
        id=f"summary:{at_ms}",
        what="summary",
        severity="info",
        at_ms=at_ms,
        title=Reason(
            f"每日汇总：{count(n)} 条未逐条通知的重复情况，涉及 {count(len(by_tenant))} 个租户",
            f"Summary of the day: {count(n)} repetition{'' if n == 1 else 's'} not sent one by one, "
            f"of {count(len(by_tenant))} tenant{'' if len(by_tenant) == 1 else 's'}",
        ),
        lines=tuple(lines),
        items=items,
    )


def _counted(each: Iterable[tuple[str, str]]) -> Reason:
    """The count of each kind, largest first."""
    said = []
    for (what, over), n in sorted(Counter(each).items(), key=lambda pair: (-pair[1], pair[0])):
        name = label(WHAT, what)
        zh, en = (f"{name.zh}解除", f"{name.en.lower()} resolved") if over else (name.zh, name.en.lower())
        said.append((f"{zh} {count(n)}", f"{en} {count(n)}"))
    return Reason("，".join(zh for zh, _ in said), ", ".join(en for _, en in said))
