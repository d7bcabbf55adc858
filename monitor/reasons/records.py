"""The reasons of decisions on records: complaints, findings, repeated violations, reviews, applications.

``ids``: those of the records, shown whole where a text repeats one.
"""

from collections.abc import Iterable
from typing import Literal

from monitor.policy.catalogue import Match
from monitor.policy.model import Behaviour, Escalation
from monitor.reasons.wording import clause, count, named, quoted, referred, span
from schemas.outputs import Reason

_KINDS = {
    "warning": ("警告", "warning"),
    "termination": ("终止服务", "termination of service"),
    "ban": ("封号", "ban"),
    "admission_rejected": ("号码申请驳回", "refusal of numbers"),
}
_RECORDS = {"complaint": ("投诉", "complaint"), "finding": ("质检结果", "finding")}
_FIELDS = {"declared_business": ("报备业务", "declared business"), "scenario": ("业务场景", "scenario")}
_TIERS = {"major": ("终止服务", "termination of service"), "severe": ("封号", "a ban")}


def complaint(
    behaviour: Behaviour, complaint_id: str, channel: str | None, tenant_name: str | None, ids: Iterable[str] = ()
) -> Reason:
    """Why a verified complaint decided. ``channel`` passed it on."""
    against_zh, against_en = _tenant("对", "的", " against ", tenant_name, ids)
    by_zh, by_en = _text("（由", "转来）", " (passed on by ", ")", channel, ids)
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
    was_zh, was_en = _text("报备业务为", "，", "declared as ", ", ", declared, ids)
    is_zh, is_en = _text("实际业务为", "", "the business is in fact ", "", actual, ids)
    zh = was_zh + (is_zh or "实际开展了未报备的业务")
    en = was_en + (is_en or "a business was run that had not been declared")
    then_zh, then_en = "，不在禁止接入目录内", ", which is not in the prohibited catalogue"
    pending_zh, pending_en = "", ""
    if match:
        row_zh, row_en = _row(match)
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
    return Reason(
        f"{who_zh}在 {long_zh}内有 {n} 次违规记录，达到 {least} 次即{tier_zh}，"
        f"此为本平台内部规则{named(escalation.id)}，非接入规范条款{pending_zh}",
        f"{who_en} has {n} violation{plural} on record within {long_en}, and {least} or more lead to {tier_en} "
        f"by the house's own rule {named(escalation.id)}, not by a clause of the access rules{pending_en}",
    )


def upheld(original: Reason, reviewer: str, review_reason: str, ids: Iterable[str] = ()) -> Reason:
    """The reason of a pending decision, and that a reviewer confirmed it."""
    by_zh, by_en = _reviewer(reviewer, review_reason, ids)
    return Reason(f"{original.zh}；经人工复核维持{by_zh}", f"{original.en}; upheld on review{by_en}")


def reversed_by_review(kind: str, reviewer: str, review_reason: str, ids: Iterable[str] = ()) -> Reason:
    """Why a decision of this ``kind`` is reversed: a reviewer overturned it."""
    by_zh, by_en = _reviewer(reviewer, review_reason, ids)
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


def admission(
    match: Match,
    field: Literal["declared_business", "scenario"],
    application_id: str,
    text: str,
    review_by_ms: int | None = None,
    ids: Iterable[str] = (),
) -> Reason:
    """Why an application for numbers is refused: the ``text`` of its ``field`` names a row of the catalogue."""
    field_zh, field_en = _FIELDS[field]
    row_zh, row_en = _row(match)
    is_zh, is_en = _text("", "", " ", "", text, ids)
    pending_zh, pending_en = ("", "") if match.certain else referred(review_by_ms)
    return Reason(
        f"号码申请{named(application_id)}的{field_zh}{is_zh}{row_zh}{pending_zh}",
        f"The {field_en}{is_en} in application {named(application_id)} {row_en}{pending_en}",
    )


def banned_applicant(application_id: str) -> Reason:
    """Why an application is refused whatever it asks for: a banned account gets no new service."""
    return Reason(
        f"申请方已被封号，不再开通，驳回号码申请{named(application_id)}",
        f"Application {named(application_id)} is refused: the applicant is banned, and no new service is opened",
    )


def _row(match: Match) -> tuple[str, str]:
    """Which prohibited business it is, how certain that is, and the matching term."""
    row_zh, row_en = f"“{match.row.zh}”", f"“{match.row.en}”"
    if match.term in ("", match.row.key):
        # The record itself named the row.
        return f"属于禁止接入业务{row_zh}", f"is the prohibited business {row_en}"
    if match.certain:
        return (
            f"属于禁止接入业务{row_zh}（与目录用语“{match.term}”一致）",
            f"is the prohibited business {row_en} (the same as the catalogue's term “{match.term}”)",
        )
    return (
        f"疑似禁止接入业务{row_zh}（含有目录用语“{match.term}”）",
        f"is likely the prohibited business {row_en} (it contains the catalogue's term “{match.term}”)",
    )


def _reviewer(reviewer: str, review_reason: str, ids: Iterable[str]) -> tuple[str, str]:
    who_zh, who_en = _text("（复核人：", "）", " by ", "", reviewer, ids)
    why_zh, why_en = _text("，理由：", "", ", because ", "", review_reason, ids)
    return who_zh + why_zh, who_en + why_en


def _tenant(before_zh: str, after_zh: str, before_en: str, name: str | None, ids: Iterable[str]) -> tuple[str, str]:
    return _text(before_zh, after_zh, before_en, "", name, ids)


def _text(
    before_zh: str, after_zh: str, before_en: str, after_en: str, text: str | None, ids: Iterable[str]
) -> tuple[str, str]:
    """A quotation with the text around it; empty if there is no text."""
    said = quoted(text, ids)
    return (f"{before_zh}{said}{after_zh}", f"{before_en}{said}{after_en}") if said else ("", "")
