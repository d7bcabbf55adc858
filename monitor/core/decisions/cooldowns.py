"""Cool-downs: the tenants for which measured rules may not decide now, as columns for the evaluator."""

import numpy as np
from numpy.typing import NDArray

from monitor.policy.model import Rule

_NEVER = 0


def cooldown_key(rule: Rule) -> str:
    """The cool-down key of a rule: its mode and behaviour, or for a shadow rule its own id."""
    return f"shadow:{rule.id}" if rule.mode == "shadow" else f"{rule.mode}:{rule.behaviour}"


def keys_started_by(rule: Rule) -> tuple[str, ...]:
    """The cool-down keys that a decision of this rule starts (section 5 of the contract).

    An enforce decision starts those of the enforce and review rules of its behaviour, a review decision only that of
    the review rules, and a shadow decision only that of its own rule.
    """
    if rule.mode == "enforce":
        return (f"enforce:{rule.behaviour}", f"review:{rule.behaviour}")
    return (cooldown_key(rule),)


class Cooldowns:
    """Dense rows ``[tenant]``: the end of the cool-down by key, the pending measured decisions, and the sanctions."""

    def __init__(self) -> None:
        self._until: dict[str, NDArray[np.int64]] = {}
        self._pending: dict[str, NDArray[np.int64]] = {}
        self._sanctions = np.zeros(0, np.int64)

    def extend(self, key: str, tenant: int, until_ms: int) -> None:
        """Let no rule with this key decide on the tenant before ``until_ms``."""
        row = _reach(self._until.get(key), tenant)
        row[tenant] = max(int(row[tenant]), until_ms)
        self._until[key] = row

    def pending(self, behaviour: str, tenant: int, step: int) -> None:
        """Add ``step`` (1 or -1) to the number of pending measured decisions."""
        row = _reach(self._pending.get(behaviour), tenant)
        row[tenant] += step
        self._pending[behaviour] = row

    def sanctioned(self, tenant: int, count: int) -> None:
        """Set the number of final terminations and bans in force against the tenant."""
        self._sanctions = _reach(self._sanctions, tenant)
        self._sanctions[tenant] = count

    def open(self, rule: Rule, end_ms: int, tenants: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Whether the rule may decide on each of these tenants at this window end."""
        may = _read(self._until.get(cooldown_key(rule)), tenants) <= end_ms
        if not np.count_nonzero(may):  # usual where alerts fire: their decisions started the cool-down
            return may
        if rule.mode != "shadow":
            may &= _read(self._sanctions, tenants) == 0
        if rule.mode == "review":
            may &= _read(self._pending.get(rule.behaviour), tenants) == 0
        return may


def _reach(row: NDArray[np.int64] | None, tenant: int) -> NDArray[np.int64]:
    if row is None:
        row = np.zeros(0, np.int64)
    if tenant < len(row):
        return row
    longer = np.full(max(tenant + 1, 2 * len(row), 64), _NEVER, np.int64)  # `np.pad` takes ten times as long
    longer[: len(row)] = row
    return longer


def _read(row: NDArray[np.int64] | None, tenants: NDArray[np.intp]) -> NDArray[np.int64]:
    if row is None or not len(row):
        return np.zeros(len(tenants), np.int64)
    try:
        return row[tenants]
    except IndexError:  # rare: most tenants that break rules have a row
        values: NDArray[np.int64] = np.where(tenants < len(row), row[np.minimum(tenants, len(row) - 1)], 0)
        return values
