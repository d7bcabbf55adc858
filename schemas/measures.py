"""The value of the topic of measures: what the rules measured of a tenant in an hour."""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.inputs import Id


def _doc(text: str) -> Meta:
    return Meta(description=text)


class RuleMeasure(Struct, frozen=True, gc=False, array_like=True):
    """What one rule measured, as an array in this order."""

    rule_id: Annotated[Id, _doc("The id of the rule.")]
    numerator: Annotated[int, _doc("What was counted; for metrics in seconds a sum or a median in ms.")]
    denominator: Annotated[int | None, _doc("Out of how many; null for counts.")]
    value: Annotated[
        int | float, _doc("The value, as in the measure of a decision, with 6 decimals; a count is whole.")
    ]
    bound: Annotated[
        float | None,
        _doc(
            "The one-sided Wilson bound that the threshold is compared with, with 6 decimals; null without confidence."
        ),
    ]
    threshold: Annotated[int | float, _doc("The threshold that applies to the tenant, in the unit of the value.")]
    min_denominator: Annotated[
        int | None, _doc("The least denominator with which the rule can be in breach; null for counts.")
    ] = None


class TenantHour(Struct, frozen=True, gc=False):
    """What the rules measured of a tenant at the end of an hour of event time in which it had accepted calls.

    The values are those of the windows that end with the hour. Left out are rules for which none ends then, rules that
    do not apply to the tenant (exempt, or too long after its first call), and rules with a denominator of 0.
    """

    tenant_id: Annotated[Id, _doc("The platform's id of the tenant.")]
    hour_ms: Annotated[int, _doc("The start of the hour, epoch ms UTC.")]
    worst: Annotated[
        Id | None,
        _doc(
            "The rule with the largest share of those whose denominator is not below `min_denominator`, at a tie the "
            "first one in `rules`; null if there is none."
        ),
    ]
    share: Annotated[
        float,
        _doc(
            "How near the worst rule is to its threshold, between 0 and 10, with 3 decimals: bound (without "
            "confidence value) / threshold for `above`, threshold / bound for `below`. Its `also` conditions do not "
            "count."
        ),
    ]
    rules: Annotated[tuple[RuleMeasure, ...], _doc("The rules in the order of the policy.")]
