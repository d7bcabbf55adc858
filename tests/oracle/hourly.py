"""Measures of an hour: one for each tenant with calls in it, of each rule the window that ends with the hour.

From the contract's table of topics (section 1) and docs/reference/measures.md.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from oracle.measures import Seen, measure, wilson
from oracle.rulebook import Rule
from oracle.tenants import Tenant

HOUR = 3_600_000


def hours_of(tenant: Tenant) -> set[int]:
    """The ends of the hours in which the tenant has accepted calls."""
    return {c["t"] // HOUR * HOUR + HOUR for c in tenant.calls}


def measured_by(rule: Rule, seen: Seen) -> dict[str, Any] | None:
    """What a rule measures in a window that has a record; None without a denominator."""
    num, den, value = measure(rule.metric, seen, rule.params)
    if den == 0:
        return None
    bound = wilson(num, den, rule.confidence, rule.direction) if rule.confidence is not None and den else None
    least = None if den is None else rule.min_denominator
    return {
        "rule_id": rule.id,
        "numerator": num,
        "denominator": den,
        "value": value,
        "bound": bound,
        "threshold": rule.threshold,
        "min_denominator": least,
        "share": None if den is not None and den < rule.min_denominator else share_of(rule, value, bound),
    }


def share_of(rule: Rule, value: float | None, bound: float | None) -> float:
    """How near the bound, or without one the value, as the record has it, is to the threshold, at most 10."""
    exact = value if bound is None else bound
    assert exact is not None
    judged = round(exact, 6)
    if rule.direction == "above":
        if rule.threshold <= 0:
            return 10.0 if judged > rule.threshold else 0.0
        return max(0.0, min(10.0, judged / rule.threshold if judged < 10 * rule.threshold else 10.0))
    if rule.threshold <= 0:
        return 0.0
    return 10.0 if judged * 10 <= rule.threshold else rule.threshold / judged


def tenant_hour(tenant_id: str, end: int, found: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The record of a tenant and hour. The worst rule is the first with the largest share."""
    rules, worst, share = [], None, 0.0
    for one in found:
        mine = one.pop("share")
        rules.append(one)
        if mine is not None and (worst is None or mine > share):
            worst, share = one["rule_id"], mine
    return {"tenant_id": tenant_id, "hour_ms": end - HOUR, "worst": worst, "share": share, "rules": rules}


def wrong_measures(expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> list[str]:
    """The differences between measures. Values and bounds have 6 decimals, shares 3."""
    wanted, found = (sorted((m["hour_ms"], m["tenant_id"]) for m in side) for side in (expected, actual))
    if wanted != found:
        return [f"measures: oracle {wanted} product {found}"]
    theirs = {(m["hour_ms"], m["tenant_id"]): m for m in actual}
    return [
        f"measures of {one['tenant_id']} in {one['hour_ms']}: {line}"
        for one in expected
        for line in _wrong(one, theirs[one["hour_ms"], one["tenant_id"]])
    ]


def _wrong(expected: dict[str, Any], actual: dict[str, Any]) -> Iterator[str]:
    nearest = [(side["worst"], side["share"]) for side in (expected, actual)]
    if expected["worst"] != actual["worst"] or not _near(expected["share"], actual["share"], 3):
        yield f"worst: oracle {nearest[0]} product {nearest[1]}"
    ours, theirs = ({one["rule_id"]: one for one in side["rules"]} for side in (expected, actual))
    if list(ours) != list(theirs):
        yield f"rules: oracle {list(ours)} product {list(theirs)}"
    for rule_id in ours.keys() & theirs.keys():
        mine, other = ours[rule_id], theirs[rule_id]
        exact = ("numerator", "denominator", "threshold", "min_denominator")
        near = all(_near(mine[name], other[name], 6) for name in ("value", "bound"))
        if not near or any(mine[name] != other[name] for name in exact):
            yield f"oracle {mine} product {other}"


def _near(ours: float | None, theirs: float | None, decimals: int) -> bool:
    if ours is None or theirs is None:
        return ours is theirs
    close: bool = abs(ours - theirs) <= 0.51 * 10**-decimals + 1e-12 * abs(ours)
    return close
