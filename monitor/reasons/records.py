"""The reasons of decisions on records: complaints, findings, repeated violations, reviews.

``ids``: those of the records, shown whole where a text repeats one.
"""

from collections.abc import Iterable

from monitor.policy.catalogue import Match
from monitor.policy.model import Behaviour, Escalation
from monitor.reasons.wording import (
    ReviewQuote,
    catalogue_row,
    clause,
    count,
    named,
    quotation,
    quoted,
    referred,
    reviewed_by,
    span,
)
from schemas.outputs import Reason

_KINDS = {
    "warning": ("警告", "warning"),
    "termination": ("终止服务", "termination of service"),
    "ban": ("封号", "ban"),
    "admission_rejected": ("号码申请驳回", "refusal of numbers"),
    "admission_approved": ("号码申请通过", "approval of numbers"),
}
_CHOSEN = {"termination": ("终止服务", "a termination of service"), "ban": ("封号", "a ban")}
_RECORDS = {"complaint": ("投诉", "complaint"), "finding": ("质检结果", "finding")}
_TIERS = {"major": ("终止服务", "termination of service"), "severe": ("封号", "a ban")}


def complaint(
    behaviour: Behaviour, complaint_id: str, channel: str | None, tenant_name: str | None, ids: Iterable[str] = ()
) -> Reason:
    """Why a verified complaint decided. ``channel`` passed it on."""
    against_zh, against_en = _tenant("对", "的", " against ", tenant_name, ids)
    by_zh, by_en = quotation("（由", "转来）", " (passed on by ", ")", channel, ids)
    clause_zh, clause_en = clause(behaviour)
    return Reason(
        f"{against_zh}投诉{named(complaint_id)}{by_zh}经核实属实{clause_zh}",
        f"Complaint {named(complaint_id)}{against_en}{by_en} was verified{clause_en}",
    )


def finding(
    behaviour: Behaviour,
    finding_id: str,
    businesses: tuple[str | None, str | None],
    match: Match | None,
    tenant_name: str | None,
    review_by_ms: int | None = None,
    ids: Iterable[str] = (),
) -> Reason:
    """Why a confirmed finding decided. The ``businesses``, the declared and the actual one, and the ``match`` are used
    only for undeclared businesses; a likely match (it only contains the term) is referred for review."""
    declared, actual = businesses
    at_zh, at_en = _tenant("对", "的", " at ", tenant_name, ids)
    head_zh = f"{at_zh}质检结果{named(finding_id)}已确认"
    head_en = f"Finding {named(finding_id)} of quality inspection{at_en} was confirmed"
    clause_zh, clause_en = clause(behaviour)
    if behaviour.id not in ("undeclared_business", "undeclared_prohibited_business"):
        return Reason(head_zh + clause_zh, head_en + clause_en)
    was_zh, was_en = quotation("报备业务为", "，", "declared as ", ", ", declared, ids)
    is_zh, is_en = quotation("实际业务为", "", "the business is in fact ", "", actual, ids)
    zh = was_zh + (is_zh or "实际开展了未报备的业务")
    en = was_en + (is_en or "a business was run that had not been declared")
    then_zh, then_en = "，不在禁止接入目录内", ", which is not in the prohibited catalogue"
    pending_zh, pending_en = "", ""
    if match:
        row_zh, row_en = catalogue_row(match)
        then_zh, then_en = f"，{row_zh}", f", which {row_en}"
        if not match.certain:
            pending_zh, pending_en = referred(review_by_ms)
    elif behaviour.id == "undeclared_prohibited_business" or not is_en:
        then_zh, then_en = "", ""
    return Reason(
        f"{head_zh}：{zh}{then_zh}{clause_zh}{pending_zh}", f"{head_en}: {en}{then_en}{clause_en}{pending_en}"
    )


def repeated(
    escalation: Escalation,
    count_of: int,
    tenant_name: str | None,
    review_by_ms: int | None = None,
    ids: Iterable[str] = (),
) -> Reason:
    """Why repeated violations escalate: by the platform's own rule, which is not part of the access rules."""
    name = quoted(tenant_name, ids)
    who_zh, who_en = name or "该租户", name or "The tenant"
    long_zh, long_en = span(escalation.window_ms)
    tier_zh, tier_en = _TIERS[escalation.tier]
    n, least = count(count_of), count(escalation.at_least)
    plural = "" if count_of == 1 else "s"
    pending_zh, pending_en = referred(review_by_ms) if escalation.mode == "review" else ("", "")
    once_zh, once_en = "", ""
    if escalation.once_per_rule:
        once_zh, once_en = "（同一度量规则只计一次）", " (each measured rule counts once)"
    return Reason(
        f"{who_zh}在 {long_zh}内有 {n} 次违规记录{once_zh}，达到 {least} 次即{tier_zh}，"
        f"此为本平台内部规则{named(escalation.id)}，非接入规范条款{pending_zh}",
        f"{who_en} has {n} violation{plural} on record within {long_en}{once_en}, and {least} or more lead to "
        f"{tier_en} by the house's own rule {named(escalation.id)}, not by a clause of the access rules{pending_en}",
    )


def upheld(original: Reason, by: ReviewQuote, kind: str | None = None) -> Reason:
    """The reason of a decision, and that a reviewer confirmed it, with another ``kind`` if one is named."""
    by_zh, by_en = reviewed_by(by)
    as_zh, as_en = "", ""
    if kind is not None:
        kind_zh, kind_en = _CHOSEN[kind]
        as_zh, as_en = f"，处置定为{kind_zh}", f" as {kind_en}"
    return Reason(f"{original.zh}；经人工复核维持{as_zh}{by_zh}", f"{original.en}; upheld on review{as_en}{by_en}")


def reversed_by_review(kind: str, by: ReviewQuote) -> Reason:
    """Why a decision of this ``kind`` is reversed: a reviewer overturned it."""
    by_zh, by_en = reviewed_by(by)
    kind_zh, kind_en = _KINDS.get(kind, ("决定", "decision"))
    return Reason(f"{kind_zh}经人工复核撤销{by_zh}", f"The {kind_en} was overturned on review{by_en}")


def reversed_by_dismissal(record_type: str, record_id: str) -> Reason:
    """Why a decision is reversed: the complaint or finding that it was based on was dismissed."""
    record_zh, record_en = _RECORDS.get(record_type, ("记录", "record"))
    return Reason(
        f"作为依据的{record_zh}{named(record_id)}已被驳回，原决定撤销",
        f"The {record_en} {named(record_id)} that the decision rested on was dismissed",
    )


def escalation_unsupported(escalation_id: str, left: int, at_least: int) -> Reason:
    """Why a pending escalation is reversed: too few of the violations that it used remain."""
    return Reason(
        f"内部规则{named(escalation_id)}所依据的违规记录撤销后仅余 {count(left)} 次，不足 {count(at_least)} 次",
        f"Of the violations that the house's rule {named(escalation_id)} rested on, only {count(left)} "
        f"{'is' if left == 1 else 'are'} left unreversed, fewer than the {count(at_least)} needed",
    )


def lapsed(review_within_ms: int) -> Reason:
    """Why a pending decision lapses."""
    long_zh, long_en = span(review_within_ms)
    return Reason(
        f"{long_zh}内未有人工复核结果，待复核的决定失效",
        f"No review came within {long_en}, so the pending decision lapsed",
    )


def _tenant(before_zh: str, after_zh: str, before_en: str, name: str | None, ids: Iterable[str]) -> tuple[str, str]:
    return quotation(before_zh, after_zh, before_en, "", name, ids)
