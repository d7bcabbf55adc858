"""Warnings about a valid policy: `policy check` prints them, nothing depends on them."""

import unicodedata
from collections.abc import Iterator

from monitor.policy.metrics import METRICS
from monitor.policy.model import Policy, Rule
from monitor.policy.note_wording import note_text
from monitor.text.bilingual import Bilingual
from monitor.text.durations import format_duration
from monitor.text.numbers import number
from monitor.text.timestamps import rfc3339

_LONGEST_S = 3_600  # a longer average call or post-dial delay is probably in ms
_LONGEST_SHORT_MS = 60_000
_LARGEST_SAMPLE = 1_000_000


def notes(policy: Policy, now_ms: int) -> Iterator[Bilingual]:
    """One sentence, in both languages, for each thing that is probably unintended.

    ``now_ms`` determines what has expired.
    """
    if not policy.rules:
        yield note_text("no_rules")
    if not policy.catalogue:
        yield note_text("no_catalogue")
    yield from policy.remarks
    yield from _alike([rule.id for rule in policy.rules] + [each.id for each in policy.escalations])
    yield from _terms_twice(policy)
    for rule in policy.rules:
        yield from _never(rule, note_text("rule", rule=rule.id))
        yield from _odd_sizes(rule, note_text("rule", rule=rule.id))
    for override in policy.overrides:
        name = note_text("override", rule=override.rule.id, tenant=override.tenant)
        yield from _never(override.rule, name)
        yield from _odd_sizes(override.rule, name)
        if override.expires_ms <= now_ms:
            yield note_text("override_expired", name=name, time=rfc3339(override.expires_ms, "shortest"))
    for exemption in policy.exemptions:
        if exemption.expires_ms <= now_ms:
            rules = Bilingual("、".join(exemption.rules), ", ".join(exemption.rules))
            time = rfc3339(exemption.expires_ms, "shortest")
            yield note_text("exemption_expired", tenant=exemption.tenant, rules=rules, time=time)
    for profile in policy.profiles:
        if profile.expires_ms <= now_ms:
            yield note_text("profile_expired", profile=profile.name, time=rfc3339(profile.expires_ms, "shortest"))
        if not profile.tenants or not profile.exempt:
            lacking = "tenants" if not profile.tenants else "exempt"
            yield note_text("profile_empty", profile=profile.name, lacking=lacking)


def _never(rule: Rule, name: Bilingual) -> Iterator[Bilingual]:
    """Thresholds that every value or no value passes. For proportions they are faults, not warnings."""
    metric, above, threshold = METRICS[rule.metric], rule.direction == "above", rule.threshold
    named: dict[str, object] = {"name": name, "metric": rule.metric, "threshold": number(threshold)}
    if not above and threshold <= 0:
        yield note_text("never_below", **named)
    if above and threshold < 0:
        yield note_text("always_above", **named)
    if metric.unit != "ratio" or metric.proportion:
        return
    if threshold > 1 or (above and threshold == 1):
        yield note_text("ratio_never_above" if above else "ratio_always_below", **named)
    if above and threshold == 0 and rule.min_denominator <= 1:
        yield note_text("one_event", name=name, metric=rule.metric)


def _odd_sizes(rule: Rule, name: Bilingual) -> Iterator[Bilingual]:
    """Numbers whose size suggests another unit."""
    metric = METRICS[rule.metric]
    named: dict[str, object] = {"name": name, "metric": rule.metric, "threshold": number(rule.threshold)}
    if metric.unit == "seconds" and rule.threshold > _LONGEST_S:
        yield note_text("seconds", direction=rule.direction, seconds=number(rule.threshold / 1000), **named)
    if metric.unit == "count" and rule.threshold != int(rule.threshold):
        yield note_text("count", **named)
    if rule.params.short_call_ms > _LONGEST_SHORT_MS:
        yield note_text("short_call", name=name, seconds=number(rule.params.short_call_ms / 1000))
    if rule.min_denominator > _LARGEST_SAMPLE:
        window = format_duration(rule.window_ms)
        yield note_text("large_sample", name=name, sample=rule.min_denominator, window=window)


def _alike(ids: list[str]) -> Iterator[Bilingual]:
    seen: dict[str, str] = {}
    for each in ids:
        other = seen.setdefault(each.casefold().replace("-", "_"), each)
        if other != each:
            yield note_text("ids_alike", other=other, each=each)


def _terms_twice(policy: Policy) -> Iterator[Bilingual]:
    seen: dict[str, str] = {}
    for row in policy.catalogue:
        for term in row.terms:
            folded = unicodedata.normalize("NFKC", term).casefold()
            other = seen.setdefault(folded, row.key)
            if other != row.key:
                yield note_text("term_twice", term=term, other=other, row=row.key)
