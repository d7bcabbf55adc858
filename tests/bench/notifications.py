"""The number of messages in a month: the output of a replay, run through the notification rules in virtual time.

callwarden simulate --tenants 1000 --days 30 --out traffic
callwarden replay traffic/records.jsonl --out judged
PYTHONPATH=tests python -m bench.notifications judged
"""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from monitor.policy.load import load
from monitor.text.durations import DAY, MINUTE
from schemas.outputs import Alert, Enforcement
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.rules.digest import plan, summary
from streams.consumers.notify.rules.notification_rules import NotificationRules, RuleOutput, SilentMessage
from streams.consumers.notify.rules.schedule import PendingCase, about_to_lapse, next_summary_ms
from streams.consumers.notify.rules.templates import lapse_soon
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle

_DIGEST_AT = 10


@dataclass
class Month:
    """Sent and suppressed messages. ``threads``: of alerts, each with whether a decision followed."""

    sent: list[tuple[int, Message]] = field(default_factory=list)
    silent: int = 0
    threads: list[bool] = field(default_factory=list)
    stopped: int = 0


def records(folder: Path) -> Iterator[tuple[int, Alert | Enforcement]]:
    """Alerts and decisions of a replay by time. At the same instant alerts come first, so none is
    suppressed by chance.
    """
    alerts = [msgspec.json.decode(line, type=Alert) for line in (folder / "alerts.jsonl").read_bytes().splitlines()]
    events = [
        msgspec.json.decode(line, type=Enforcement) for line in (folder / "enforcement.jsonl").read_bytes().splitlines()
    ]
    timed: list[tuple[int, int, Alert | Enforcement]] = [(each.updated_ms, 0, each) for each in alerts]
    timed += [(each.data.decided_ms, 1, each) for each in events]
    for at_ms, _, record in sorted(timed, key=lambda row: row[:2]):
        yield at_ms, record


def notify_month(folder: Path, throttle: Throttle) -> Month:
    """The month, with the records' times as the clock."""
    policy = load(None)
    rules, month = NotificationRules(policy, throttle), Month()
    tenants: dict[str, TenantState] = {}
    pending: dict[str, PendingCase] = {}
    warned: set[str] = set()
    silent: list[SilentMessage] = []
    next_tick = next_summary = 0

    def add(output: RuleOutput, at_ms: int) -> None:
        month.sent += [(at_ms, message) for message in output.messages if message.others]
        silent.extend(output.silent)
        month.silent += len(output.silent)

    def tick(now_ms: int) -> None:
        nonlocal next_summary
        for tenant_id, tenant in tenants.items():
            if tenant.due_ms is not None and tenant.due_ms <= now_ms:
                add(rules.tick(tenant_id, tenant, now_ms), now_ms)
        soon = about_to_lapse([p for p in pending.values() if p.id not in warned], now_ms, throttle.before_lapse_ms)
        if soon:
            warned.update(each.id for each in soon)
            month.sent.append((now_ms, lapse_soon(soon, now_ms)))
        if now_ms >= next_summary:
            if next_summary and silent:
                month.sent.append((now_ms, summary(silent, now_ms)))
                silent.clear()
            next_summary = next_summary_ms(now_ms, 9, policy.params.timezone)

    threads = AlertThreads(rules)
    for at_ms, record in records(folder):
        while next_tick <= at_ms:
            next_tick = next_tick + MINUTE if next_tick else at_ms + MINUTE
            tick(min(next_tick, at_ms))
        if isinstance(record, Alert):
            tenant = tenants.setdefault(record.tenant_id, TenantState())
            threads.alert(record, tenant)
            add(rules.alert(record.tenant_id, tenant, record, at_ms), at_ms)
        else:
            tenant = tenants.setdefault(record.subject, TenantState())
            threads.decision(record)
            ended = [pending.pop(old or "", None) for old in (record.data.supersedes, record.data.reverses)]
            change = (record.data.status == "pending_review") - sum(one is not None for one in ended)
            add(rules.decision(record.subject, tenant, record, change, at_ms), at_ms)
            if record.data.review_by_ms is not None:
                data = record.data
                pending[record.id] = PendingCase(
                    record.id, record.subject, data.behaviour, data.kind, data.review_by_ms
                )
    month.threads, month.stopped = threads.outcome()
    return month


class AlertThreads:
    """Threads of alerts, independent of the notifier's: each from its first alert until its behaviour was quiet for a
    day.
    """

    def __init__(self, rules: NotificationRules) -> None:
        self._rules = rules
        self._open: dict[tuple[str, str], list[int]] = {}  # firing, last_ms, followed, stopped
        self._done: list[tuple[bool, bool]] = []
        self._firing: dict[str, tuple[str, str]] = {}

    def alert(self, alert: Alert, tenant: TenantState) -> None:
        """Add an alert that fires or is resolved."""
        if alert.severity == "info":
            return
        key = alert.tenant_id, self._rules.behaviour_of(alert.rule_id)
        thread = self._open.get(key)
        if thread and not thread[0] and alert.updated_ms - thread[1] >= DAY:
            self._end(key)
            thread = None
        if alert.state == "firing":
            thread = thread or self._open.setdefault(key, [0, 0, 0, int(tenant.stopped is not None)])
            if alert.alert_id not in self._firing:
                self._firing[alert.alert_id] = key
                thread[0] += 1
            thread[2] |= alert.enforcement_id is not None
        elif thread and self._firing.pop(alert.alert_id, None):
            thread[0] -= 1
        if thread:
            thread[1] = alert.updated_ms

    def decision(self, event: Enforcement) -> None:
        """Add a decision on that behaviour to its open thread."""
        thread = self._open.get((event.subject, event.data.behaviour))
        if thread and event.data.measure is not None:
            thread[2] = 1

    def _end(self, key: tuple[str, str]) -> None:
        _, _, followed, stopped = self._open.pop(key)
        self._done.append((bool(followed), bool(stopped)))

    def outcome(self) -> tuple[list[bool], int]:
        """For each thread, whether a decision followed, and the number that began while a termination or a ban was in
        force.
        """
        for key in list(self._open):
            self._end(key)
        return [followed for followed, stopped in self._done if not stopped], sum(s for _, s in self._done)


def main() -> None:
    """Print the figures."""
    throttle = Throttle()
    month = notify_month(Path(sys.argv[1]), throttle)
    days = Counter(at_ms // DAY for at_ms, _ in month.sent)
    counted = Counter(("off " if m.standing == "off" else "") + m.what for _, m in month.sent)
    span = max(days) - min(days) + 1
    print(
        f"{len(month.sent)} messages in {span} days: {len(month.sent) / span:.1f} a day, {max(days.values())} at most"
    )
    print(", ".join(f"{what} {n}" for what, n in counted.most_common()), f"; not sent one by one: {month.silent}")
    share = sum(month.threads) / max(1, len(month.threads))
    print(f"{len(month.threads)} threads of alerts, {share:.1%} followed by a decision; {month.stopped} while stopped")
    minutes = Counter(at_ms // MINUTE for at_ms, _ in month.sent)
    crowded = sum(bool(plan([month.sent[0][1]] * n, _DIGEST_AT).digested) for n in minutes.values())
    print(f"minutes with more than {_DIGEST_AT}: {crowded}")


if __name__ == "__main__":
    main()
