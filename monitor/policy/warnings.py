"""Warnings about a valid policy: `policy check` prints them, nothing depends on them."""

import unicodedata
from collections.abc import Iterator

from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.text.durations import format_duration
from monitor.text.timestamps import rfc3339

_LONGEST_S = 3_600  # a longer average call or post-dial delay is probably in ms
_LONGEST_SHORT_MS = 60_000
_LARGEST_SAMPLE = 1_000_000


def notes(policy: Policy, now_ms: int) -> Iterator[str]:
    """One sentence for each thing that is probably unintended. ``now_ms`` determines what has expired."""
    if not policy.rules:
        yield "no measured rules: only complaints and findings lead to decisions"
    if not policy.catalogue:
        yield "no prohibited businesses: no application is rejected for its business, and no finding violates clause 3"
    yield from policy.remarks
    yield from _alike([rule.id for rule in policy.rules] + [each.id for each in policy.escalations])
    yield from _terms_twice(policy)
    for rule in policy.rules:
        yield from _never(rule, f"rule {rule.id}")
        yield from _odd_sizes(rule, f"rule {rule.id}")
    for override in policy.overrides:
        name = f"override of {override.rule.id} for {override.tenant}"
        yield from _never(override.rule, name)
        yield from _odd_sizes(override.rule, name)
        if override.expires_ms <= now_ms:
            yield f"{name} expired {rfc3339(override.expires_ms, 'shortest')}"
    for exemption in policy.exemptions:
        if exemption.expires_ms <= now_ms:
            rules = ", ".join(exemption.rules)
            yield f"exemption of {exemption.tenant} from {rules} expired {rfc3339(exemption.expires_ms, 'shortest')}"
    for profile in policy.profiles:
        if profile.expires_ms <= now_ms:
            yield f"profile {profile.name} expired {rfc3339(profile.expires_ms, 'shortest')}"
        if not profile.tenants or not profile.exempt:
            lacking = "tenants" if not profile.tenants else "exempt"
            yield f"profile {profile.name} has no effect: `{lacking}` is empty"


def _never(rule: Rule, name: str) -> Iterator[str]:
    """Thresholds that every value or no value passes. For proportions they are faults, not warnings."""
    metric, above, threshold = METRICS[rule.metric], rule.direction == "above", rule.threshold
    if not above and threshold <= 0:
        yield f"{name}: {rule.metric} is never below {threshold:g}"
    if above and threshold < 0:
        yield f"{name}: {rule.metric} is always above {threshold:g}"
    if metric.unit != "ratio" or metric.proportion:
        return
    if threshold > 1 or (above and threshold == 1):
        passes = "never above" if above else "always below"
        yield f"{name}: {rule.metric} is {passes} {threshold:g}; it is at most 1: write 0.15 for 15 %"
    if above and threshold == 0 and rule.min_denominator <= 1:
        yield f"{name}: one event makes {rule.metric} exceed 0; set `min_denominator`, or a threshold above 0"


def _odd_sizes(rule: Rule, name: str) -> Iterator[str]:
    """Numbers whose size suggests another unit."""
    metric = METRICS[rule.metric]
    if metric.unit == "seconds" and rule.threshold > _LONGEST_S:
        said = f"{rule.threshold:g} ms is {rule.threshold / 1000:g}"
        yield f"{name}: {rule.metric} {rule.direction} {rule.threshold:g} is in seconds; {said}"
    if metric.unit == "count" and rule.threshold != int(rule.threshold):
        yield f"{name}: {rule.metric} is a count, but its threshold is {rule.threshold:g}; expected a whole number"
    if rule.params.short_call_ms > _LONGEST_SHORT_MS:
        said = f"{rule.params.short_call_ms / 1000:g}"
        yield f"{name}: with `short_call_s: {said}` nearly every call is short; it is in seconds, 6 by default"
    if rule.min_denominator > _LARGEST_SAMPLE:
        yield (
            f"{name}: `min_denominator: {rule.min_denominator}` is more than a tenant usually has in "
            f"{format_duration(rule.window_ms)}: the rule would never be evaluated"
        )


def _alike(ids: list[str]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for each in ids:
        other = seen.setdefault(each.casefold().replace("-", "_"), each)
        if other != each:
            yield f"the ids `{other}` and `{each}` are easily confused"


def _terms_twice(policy: Policy) -> Iterator[str]:
    seen: dict[str, str] = {}
    for row in policy.catalogue:
        for term in row.terms:
            folded = unicodedata.normalize("NFKC", term).casefold()
            other = seen.setdefault(folded, row.key)
            if other != row.key:
                yield f"the term `{term}` is in two rows of the prohibited businesses, {other} and {row.key}"
