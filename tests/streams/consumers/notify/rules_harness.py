"""The notification rules with one tenant, for tests: records and times in, messages out."""

from monitor.policy.load import load
from schemas.outputs import Alert, Enforcement
from streams.consumers.notify.messages.message import Message
from streams.consumers.notify.rules.notification_rules import NotificationRules, RuleOutput, SilentMessage
from streams.consumers.notify.rules.tenant_state import TenantState
from streams.consumers.notify.rules.throttle import Throttle

POLICY = load(None)
THROTTLE = Throttle()


class RulesHarness:
    """Keeps all messages."""

    def __init__(self, throttle: Throttle = THROTTLE) -> None:
        self.rules, self.tenant = NotificationRules(POLICY, throttle), TenantState()
        self.messages: list[Message] = []
        self.silent: list[SilentMessage] = []
        self._pending: set[str] = set()

    def take(self, at_ms: int, *records: Alert | Enforcement) -> list[str]:
        """The messages for these records, abbreviated; first those that became due before."""
        before = len(self.messages)
        self._note(self.rules.tick("acme", self.tenant, at_ms))
        for record in records:
            if isinstance(record, Alert):
                self._note(self.rules.alert("acme", self.tenant, record, at_ms))
            else:
                change = self._pend(record)
                self._note(self.rules.decision("acme", self.tenant, record, change, at_ms))
        return [short(message) for message in self.messages[before:] if message.others]

    def _pend(self, event: Enforcement) -> int:
        before = len(self._pending)
        self._pending -= {event.data.supersedes or "", event.data.reverses or ""}
        if event.data.status == "pending_review":
            self._pending.add(event.id)
        return len(self._pending) - before

    def _note(self, said: RuleOutput) -> None:
        self.messages += said.messages
        self.silent += said.silent


def short(message: Message) -> str:
    """The subject of a message, in a word or two."""
    return f"{message.what} over" if message.standing == "off" else message.what
