"""The reasons of decisions on admission: applications for numbers, and businesses that tenants declare.

``ids``: those of the records, shown whole where a text repeats one.
"""

from collections.abc import Iterable
from typing import Literal

from monitor.policy.catalogue import Match
from monitor.reasons.wording import ReviewQuote, catalogue_row, named, quotation, referred, reviewed_by, span
from schemas.outputs import Reason

AdmissionField = Literal["declared_business", "scenario", "declared_businesses"]
"""A field with a business: of an application, or of a `tenant` record."""

_FIELDS = {"declared_business": ("报备业务", "declared business"), "scenario": ("业务场景", "scenario")}


def admission(
    match: Match,
    field: AdmissionField,
    record_id: str,
    text: str,
    review_by_ms: int | None = None,
    ids: Iterable[str] = (),
) -> Reason:
    """Why an application or a declared business is refused: the ``text`` of ``field`` names a row of the catalogue."""
    row_zh, row_en = catalogue_row(match)
    is_zh, is_en = quotation("", "", " ", "", text, ids)
    pending_zh, pending_en = ("", "") if match.certain else referred(review_by_ms)
    if field == "declared_businesses":
        return Reason(
            f"租户{named(record_id)}新报备的业务{is_zh}{row_zh}{pending_zh}",
            f"The business{is_en} that tenant {named(record_id)} newly declared {row_en}{pending_en}",
        )
    field_zh, field_en = _FIELDS[field]
    return Reason(
        f"号码申请{named(record_id)}的{field_zh}{is_zh}{row_zh}{pending_zh}",
        f"The {field_en}{is_en} in application {named(record_id)} {row_en}{pending_en}",
    )


def application_waits(
    application_id: str, business: str, likely: tuple[Match, AdmissionField, str] | None, ids: Iterable[str] = ()
) -> Reason:
    """Why an application waits for its review. ``likely``: a match of the catalogue, in which field and text."""
    for_zh, for_en = quotation("（报备业务", "）", " for ", "", business, ids)
    likely_zh, likely_en = "", ""
    if likely is not None:
        match, field, text = likely
        field_zh, field_en = _FIELDS[field]
        row_zh, row_en = catalogue_row(match)
        is_zh, is_en = quotation("", "", " ", "", text, ids)
        likely_zh, likely_en = f"；其{field_zh}{is_zh}{row_zh}", f"; its {field_en}{is_en} {row_en}"
    return Reason(
        f"号码申请{named(application_id)}{for_zh}待人工审核，以最终申请号码审核为准{likely_zh}",
        f"Application {named(application_id)}{for_en} waits for its review, which decides whether numbers are given"
        f"{likely_en}",
    )


def application_reviewed(application_id: str, kind: str, by: ReviewQuote) -> Reason:
    """Why an application that waited is approved or rejected: a reviewer decided it."""
    by_zh, by_en = reviewed_by(by)
    verdict_zh, verdict_en = ("通过", "approved") if kind == "admission_approved" else ("驳回", "rejected")
    return Reason(
        f"号码申请{named(application_id)}经人工审核{verdict_zh}{by_zh}",
        f"Application {named(application_id)} was {verdict_en} on review{by_en}",
    )


def newer_application(application_id: str) -> Reason:
    """Why an application no longer waits: it came again in a newer version."""
    return Reason(
        f"号码申请{named(application_id)}已有更新的版本，原待审核的版本撤销",
        f"A newer version of application {named(application_id)} takes the place of the one that waited",
    )


def application_forgotten(application_id: str, retention_ms: int) -> Reason:
    """Why an application no longer waits: records are kept no longer."""
    long_zh, long_en = span(retention_ms)
    return Reason(
        f"号码申请{named(application_id)}在记录保存期 {long_zh}内未经人工审核，撤销",
        f"Application {named(application_id)} was not reviewed within the {long_en} for which records are kept",
    )


def banned_applicant(record_id: str, record_type: str = "application") -> Reason:
    """Why an application, or a `tenant` record that names a banned owner, is refused: the tenant itself is banned."""
    if record_type == "tenant":
        return Reason(
            f"租户{named(record_id)}已被封号，不再开通，驳回其归属被封主体的登记",
            f"The registration of tenant {named(record_id)} under a banned owner is refused: the tenant is banned, and "
            "no new service is opened",
        )
    return Reason(
        f"申请方已被封号，不再开通，驳回号码申请{named(record_id)}",
        f"Application {named(record_id)} is refused: the applicant is banned, and no new service is opened",
    )
