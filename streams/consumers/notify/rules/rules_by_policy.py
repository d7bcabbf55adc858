"""The rules for each record: by the policy of the settings, or by those that the workers have recorded since."""

from collections.abc import Mapping, Sequence

from monitor.policy.model import Policy
from monitor.text.display import DEFAULT, Display
from streams.consumers.notify.rules.notification_rules import NotificationRules
from streams.consumers.notify.rules.throttle import Throttle


class RulesByPolicy:
    """The notification rules of each policy. Look-ups may run in a different thread from `follow`.

    ``display``: how messages show records. ``begun`` is the hash of the workers' first policy; None while it is
    unknown.
    """

    def __init__(self, policy: Policy, throttle: Throttle, display: Display = DEFAULT) -> None:
        self.display = display
        self.begun: str | None = policy.sha256
        self._throttle = throttle
        self._first = NotificationRules(policy, throttle, display)
        self._known: Mapping[str, NotificationRules] = {policy.sha256: self._first}
        self._recorded: Mapping[int, Sequence[tuple[int, NotificationRules]]] = {}

    def follow(self, recorded: Mapping[int, Sequence[tuple[int, Policy]]]) -> None:
        """Set the recorded policies of each partition, each with the event time from which it applies, in order."""
        known = {rules.policy.sha256: rules for rules in self._known.values()}
        rules_by_policy: dict[int, Sequence[tuple[int, NotificationRules]]] = {}
        for number, some in recorded.items():
            for _, policy in some:
                if policy.sha256 not in known:
                    known[policy.sha256] = NotificationRules(policy, self._throttle, self.display)
            rules_by_policy[number] = [(from_ms, known[policy.sha256]) for from_ms, policy in some]
        self._known, self._recorded = known, rules_by_policy
        first = min(
            (some[0] for some in rules_by_policy.values() if some), key=lambda version: version[0], default=None
        )
        if first is None:
            self.begun = self._first.policy.sha256
        else:
            # Topics to which a state was migrated begin with the policy in force.
            self.begun = None if first[0] else first[1].policy.sha256

    def at(self, number: int, at_ms: int) -> NotificationRules:
        """The rules for a record of that partition and time: by the policy that applied to it."""
        some = self._recorded.get(number)
        if not some:
            return self._first
        return next((rules for from_ms, rules in reversed(some) if from_ms <= at_ms), some[0][1])

    def now(self, now_ms: int) -> NotificationRules:
        """The rules for timers: of the latest policy that applies by then in any partition."""
        past = [version for some in self._recorded.values() for version in some if version[0] <= now_ms]
        return max(past, key=lambda version: version[0])[1] if past else self._first
