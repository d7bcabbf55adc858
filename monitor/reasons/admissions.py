"""The reasons of decisions on admission: applications for numbers, and businesses that tenants declare.

``ids``: those of the records, shown whole where a text repeats one.
"""

from collections.abc import Iterable
from typing import Literal

from monitor.policy.catalogue import Match
from monitor.reasons.wording import catalogue_row, named, quotation, referred
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
