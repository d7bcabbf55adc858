"""What is not wrong with a policy and yet worth a look: `policy check` says it, nothing depends on it."""

from collections.abc import Iterator

from monitor.metrics import METRICS
from monitor.policy.durations import format_instant
from monitor.policy.model import Policy, Rule

# These may pass one: the same answered call can bring several complaints.
_UNBOUNDED = ("complaint_rate", "verified_complaint_rate")


def notes(policy: Policy, now_ms: int) -> Iterator[str]:
    """One sentence for each thing that was probably not meant. ``now_ms`` tells what has expired."""
    if not policy.rules:
        yield "no measured rules: only complaints and findings decide"
    if not policy.catalogue:
        yield "no prohibited businesses: no application is refused, and no finding is clause 3"
    for rule in policy.rules:
        yield from _never(rule, f"rule {rule.id}")
    for override in policy.overrides:
        name = f"override of {override.rule.id} for {override.tenant}"
        yield from _never(override.rule, name)
        if override.expires_ms <= now_ms:
            yield f"{name} expired {format_instant(override.expires_ms)}"
    for exemption in policy.exemptions:
        if exemption.expires_ms <= now_ms:
            rules = ", ".join(exemption.rules)
            yield f"exemption of {exemption.tenant} from {rules} expired {format_instant(exemption.expires_ms)}"


def _never(rule: Rule, name: str) -> Iterator[str]:
    metric = METRICS[rule.metric]
    most = 1.0 if metric.unit == "ratio" and rule.metric not in _UNBOUNDED else None
    if rule.direction == "above" and most is not None and rule.threshold >= most:
        yield f"{name}: {rule.metric} is never above {rule.threshold:g}; it is a share of one, so 15 % is 0.15"
    if rule.direction == "below" and rule.threshold <= 0:
        yield f"{name}: {rule.metric} is never below {rule.threshold:g}"
