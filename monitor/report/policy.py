"""What the page needs of the resolved policy: rules with thresholds, wordings, the time zone."""

from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from monitor.policy.model import Mode


class RuleView(msgspec.Struct, frozen=True):
    """A measured rule as the page shows it; times in ms."""

    id: str
    behaviour: str
    metric: str
    direction: Literal["above", "below"]
    threshold: float
    window_ms: int
    min_denominator: int = 1
    confidence: float | None = None
    mode: Mode = "enforce"


class OverrideView(msgspec.Struct, frozen=True):
    """``rule`` stands for ``tenant`` at window ends before ``expires_ms``."""

    tenant: str
    rule: RuleView
    expires_ms: int


class Wording(msgspec.Struct, frozen=True):
    """A behaviour in the words of the access rules."""

    zh: str
    en: str
    clause: int | None = None


class _Params(msgspec.Struct, frozen=True):
    timezone: str = "UTC"


class PolicyView(msgspec.Struct, frozen=True):
    """The part of ``policy.json`` (`monitor.policy.model.Policy` as plain data) that is shown.

    Empty where a directory has none: then the page has no charts.
    """

    id: str = ""
    version: str = ""
    sha256: str = ""
    params: _Params = _Params()
    rules: tuple[RuleView, ...] = ()
    overrides: tuple[OverrideView, ...] = ()
    behaviours: dict[str, Wording] = {}

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which the page tells times."""
        return ZoneInfo(self.params.timezone)

    def rule_for(self, rule: RuleView, tenant: str, end_ms: int) -> RuleView:
        """``rule`` as it stood for ``tenant`` at the window end ``end_ms``."""
        for override in self.overrides:
            if override.tenant == tenant and override.rule.id == rule.id and end_ms < override.expires_ms:
                return override.rule
        return rule
