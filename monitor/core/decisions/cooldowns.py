"""Gates: for whom measured rules are quiet or stopped just now, as columns that the judge reads at once."""

import numpy as np
from numpy.typing import NDArray

from monitor.policy.model import Rule

_NEVER = 0


def quiet_key(rule: Rule) -> str:
    """What makes a rule quiet: its behaviour and mode, or for a shadow rule its own id."""
    return f"shadow:{rule.id}" if rule.mode == "shadow" else f"{rule.mode}:{rule.behaviour}"


def keys_quieted_by(rule: Rule) -> tuple[str, ...]:
    """What a decision of this rule makes quiet (section 5 of the contract).

    An enforce decision quiets enforce and review rules of its behaviour, a review decision review rules alone,
    a shadow decision its own rule alone.
    """
    if rule.mode == "enforce":
        return (f"enforce:{rule.behaviour}", f"review:{rule.behaviour}")
    return (quiet_key(rule),)


class Cooldowns:
    """Dense rows ``[tenant]``: quiet until when, by key; how many measured decisions are pending; is it stopped."""

    def __init__(self) -> None:
        self._until: dict[str, NDArray[np.int64]] = {}
        self._pending: dict[str, NDArray[np.int64]] = {}
        self._stopped = np.zeros(0, np.int64)

    def quieten(self, key: str, tenant: int, until_ms: int) -> None:
        """Rules of that key are quiet for the tenant before ``until_ms``."""
        row = _reach(self._until.get(key), tenant)
        row[tenant] = max(int(row[tenant]), until_ms)
        self._until[key] = row

    def pending(self, behaviour: str, tenant: int, step: int) -> None:
        """One measured decision more (1) or less (-1) is pending."""
        row = _reach(self._pending.get(behaviour), tenant)
        row[tenant] += step
        self._pending[behaviour] = row

    def stopped(self, tenant: int, stops: int) -> None:
        """So many final terminations and bans stand against the tenant."""
        self._stopped = _reach(self._stopped, tenant)
        self._stopped[tenant] = stops

    def open(self, rule: Rule, end_ms: int, tenants: NDArray[np.intp]) -> NDArray[np.bool_]:
        """For which of these tenants the rule may decide at this window end."""
        may = _read(self._until.get(quiet_key(rule)), tenants) <= end_ms
        if rule.mode != "shadow":
            may &= _read(self._stopped, tenants) == 0
        if rule.mode == "review":
            may &= _read(self._pending.get(rule.behaviour), tenants) == 0
        return may


def _reach(row: NDArray[np.int64] | None, tenant: int) -> NDArray[np.int64]:
    if row is None:
        row = np.zeros(0, np.int64)
    if tenant < len(row):
        return row
    return np.pad(row, (0, max(tenant + 1, 2 * len(row), 64) - len(row)), constant_values=_NEVER)


def _read(row: NDArray[np.int64] | None, tenants: NDArray[np.intp]) -> NDArray[np.int64]:
    if row is None or not len(row):
        return np.zeros(len(tenants), np.int64)
    if tenants.max(initial=-1) < len(row):
        return row[tenants]
    values: NDArray[np.int64] = np.where(tenants < len(row), row[np.minimum(tenants, len(row) - 1)], 0)
    return values
