"""The stored state of alerts: those of all rules, and what is left of rules that a policy change removed."""

from collections.abc import Collection, Mapping, Sequence
from itertools import islice

from monitor.core.rules.rule_state import Alerts, RuleState
from monitor.core.rules.window_end import OutputRoom
from monitor.core.tenants.active_alert import ActiveAlerts, ByTenant
from monitor.core.tenants.alert_store import AlertStore
from monitor.reasons import Unmeasured


class AlertStates:
    """The alerts in ``rule_states``, as they are stored. ``store`` tracks which of them changed."""

    def __init__(self, rule_states: Sequence[RuleState], store: AlertStore) -> None:
        self._rule_states = rule_states
        self._store = store
        self._removed: dict[str, ByTenant[int]] = {}  # `taken_back` of removed rules, in case they are restored in time

    def active(self) -> ActiveAlerts:
        """The alert state to store. Read-only."""
        ours = {rule_state.rule.id: rule_state.taken_back for rule_state in self._rule_states}
        return ActiveAlerts(
            {rule_state.rule.id: rule_state.firing for rule_state in self._rule_states if rule_state.firing},
            {rule_id: named for rule_id, named in (self._removed | ours).items() if named},
        )

    def changes(self) -> dict[str, bytes | None]:
        """The alert entries to store since the last call. None marks an entry to delete."""
        return self._store.changes(self.active())

    def dismiss(self, alerts: Alerts, rules: Collection[str], at_ms: int, most: int | None = None) -> bool:
        """Resolve the alerts of all rules except ``rules``, and all early alerts, or the first ``most`` of them.

        Returns whether none is left.
        """
        for rule_state in self._rule_states:
            removed = rule_state.rule.id not in rules
            why: Unmeasured = "rule_removed" if removed else "policy_changed"
            tenants = sorted(tenant for tenant, firing in rule_state.firing.items() if removed or firing.early)
            for tenant in tenants[:most]:
                rule_state.taken_back[tenant] = rule_state.firing[tenant].since_ms
                alerts.resolve(rule_state, rule_state.rule, tenant, why, at_ms)
            if most is not None:
                if len(tenants) > most:
                    return False
                most -= len(tenants)
        return True

    def forget_removed(self, end_ms: int, room: OutputRoom | None = None) -> None:
        """Delete the ends up to ``end_ms`` that withdrawn early alerts of removed rules named, as `forget_named`."""
        for named in self._removed.values():
            forget_named(named, end_ms, room)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Restore the alerts from before a restart. Raises StateFormatError if an entry has an unknown format."""
        stored = self._store.restore(entries)
        for rule_state in self._rule_states:
            firing, taken_back = stored.by_rule(rule_state.rule.id)
            rule_state.firing.load(firing)
            rule_state.taken_back.load(taken_back)
        ours = {rule_state.rule.id for rule_state in self._rule_states}
        self._removed = {rule_id: ByTenant(self._store.changed) for rule_id in stored.taken_back if rule_id not in ours}
        for rule_id, named in self._removed.items():
            named.load(stored.taken_back[rule_id])


def forget_named(named: ByTenant[int], end_ms: int, room: OutputRoom | None = None) -> None:
    """Delete the named ends up to ``end_ms``, which have no effect any more; with ``room``, as many as fit.

    Each may rewrite a page of the stored alerts.
    """
    past = (tenant for tenant, named_ms in named.items() if named_ms <= end_ms)
    some = list(past if room is None else islice(past, max(room.left, 0)))
    for tenant in some:
        del named[tenant]
    if room is not None:
        room.left -= len(some)
