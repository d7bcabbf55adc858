"""Verdicts: whether one is valid, by the worker's rules, and the record that carries it. Pure functions."""

from typing import Final, Literal, NamedTuple

from monitor.core.decisions.consequences import OPEN_BEHAVIOURS
from monitor.core.decisions.review_rejection import RequestedReview, ReviewedCase, ReviewRejection, review_rejection
from monitor.core.tenants.ids import review_id
from monitor.policy.model import OpenKind
from monitor.text.bilingual import Bilingual
from monitor.text.masking import mask_id, mask_text
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import instant
from schemas import codec
from schemas.inputs import Review
from streams.consumers.ledger.queries.cases import LedgerCase

Verdict = Literal["uphold", "overturn", "approve", "reject"]

_UNKNOWN: Final = Bilingual(
    "{named}：台账中没有这个决定；应为 `callwarden reviews list` 列出的 ID",
    "{named}: no such decision in the ledger; expected an id as `callwarden reviews list` shows it",
)
_CLOSING_EVENT: Final = Bilingual(
    "{named} 是 {of} 的{what}，不能复核", "{named} is a {what} of {of} and cannot be reviewed"
)
_LAPSE: Final = Bilingual("逾期失效", "lapse")
_REVERSAL: Final = Bilingual("撤销", "reversal")
_CLOSED: Final = Bilingual(
    "{named} 已于 {at} {what}{who}，无法再改变", "{named} {what} at {at}{who}; there is nothing to change"
)
_HAS_LAPSED: Final = Bilingual("逾期失效", "lapsed")
_WAS_REVERSED: Final = Bilingual("被撤销", "was reversed")
_TOO_LATE: Final = Bilingual(
    "{named} 的复核期限为 {until}，现已逾期失效", "{named} could be reviewed until {until}: it lapses"
)
_WAITS: Final = Bilingual(
    "{named} 是等待审核的申请；结论应为通过或驳回",
    "{named} is an application that waits; expected `reviews approve` or `reject`",
)
_ANSWERED: Final = Bilingual(
    "{named} 已{what}{who}；可以撤销，之后可重新申请",
    "{named} is {what} already{who}; it can be overturned, and then applied for again",
)
_APPROVED: Final = Bilingual("通过", "approved")
_REJECTED: Final = Bilingual("驳回", "rejected")
_DOES_NOT_WAIT: Final = Bilingual(
    "{named} 不是等待审核的申请；结论应为维持或撤销",
    "{named} is not an application that waits; expected `reviews uphold` or `overturn`",
)
_KIND_NOT_OPEN: Final = Bilingual(
    "{named} 涉及 {behaviour}；只有维持接入规范第 1、2、3、5 条的决定时才能选择处置",
    "{named} is about {behaviour}; expected --kind only with an uphold of a decision by clause 1, 2, "
    "3 or 5 of the access rules",
)
_BANNED: Final = Bilingual(
    "{named}：该租户已被封号，不再开通新业务；不能通过",
    "{named}: the tenant is banned, and no new service is opened; expected no approval",
)
_FINAL: Final = Bilingual(
    "{named} 已最终生效{upheld}；可以撤销{other}", "{named} is final already{upheld}; it can be overturned{other}"
)
_UPHELD: Final = Bilingual("，经复核维持{who}", ", upheld{who}")
_OTHER_KIND: Final = Bilingual("，或维持并改变处置", ", or its kind changed by `reviews uphold --kind`")
_REVIEWED_BY: Final = Bilingual("（复核人 {reviewer}：{reason}）", " by {reviewer} ({reason})")
_EMPTY: Final = Bilingual(
    "复核人和理由与结论一起保存，都不能为空",
    "reviewer and reason are kept with the verdict; expected neither to be empty",
)
_INVALID: Final = Bilingual("复核记录不合要求：{problem}", "{problem}")
_NOTHING: Final = Bilingual("", "")


class ReviewRefused(ValueError):
    """A verdict that cannot be given. The message says why; ``both`` is the same in both languages."""

    def __init__(self, message: Bilingual | str) -> None:
        self.both = message if isinstance(message, Bilingual) else Bilingual(message, message)
        super().__init__(self.both.en)


class GivenVerdict(NamedTuple):
    """A verdict, and the ``kind`` that an uphold chooses, if any. ``barred``: the tenant is banned."""

    verdict: Verdict
    kind: OpenKind | None = None
    barred: bool = False


def rejection_reason(case: LedgerCase | None, named: str, given: GivenVerdict, now_ms: int) -> Bilingual | None:
    """Why the worker would reject this verdict on the decision ``named``; None if it would accept it.

    `review_rejection` decides; the sentences here add what the ledger knows of the case.
    """
    closing = case.closing if case else None
    reviewed = None
    if case is not None:
        data = case.in_force.data
        closing_id = closing.id if closing else None
        reviewed = ReviewedCase(case.status == "final", closing_id, data.kind, data.behaviour, given.barred)
    rejection = review_rejection(reviewed, RequestedReview(named, given.verdict, given.kind))
    if case is None or rejection is ReviewRejection.UNKNOWN:
        return _UNKNOWN.fill(named=mask_id(named))
    if closing is not None and rejection is ReviewRejection.CLOSING_EVENT:
        closes = _LAPSE if closing.data.kind == "lapse" else _REVERSAL
        return _CLOSING_EVENT.fill(named=named, what=closes, of=case.in_force.id)
    if closing is not None and rejection in (ReviewRejection.CLOSED, ReviewRejection.DOES_NOT_WAIT):
        what = _HAS_LAPSED if closing.data.kind == "lapse" else _WAS_REVERSED
        who = _by(case, case.review_behind(closing))
        return _CLOSED.fill(named=named, what=what, at=instant(closing.data.decided_ms), who=who)
    if rejection is not None:
        return _sentence(rejection, case, named)
    until_ms = case.in_force.data.review_by_ms
    if case.status == "pending" and until_ms is not None and now_ms >= until_ms:
        return _TOO_LATE.fill(named=named, until=instant(until_ms))
    return None


def _sentence(rejection: ReviewRejection, case: LedgerCase, named: str) -> Bilingual:
    """Why a verdict on a case that stands changes nothing."""
    data = case.in_force.data
    match rejection:
        case ReviewRejection.WAITS:
            return _WAITS.fill(named=named)
        case ReviewRejection.DOES_NOT_WAIT if data.behaviour == "application_review":
            who = _by(case, case.review_behind(case.in_force))
            what = _APPROVED if data.kind == "admission_approved" else _REJECTED
            return _ANSWERED.fill(named=named, what=what, who=who)
        case ReviewRejection.DOES_NOT_WAIT:
            return _DOES_NOT_WAIT.fill(named=named)
        case ReviewRejection.KIND_NOT_OPEN:
            return _KIND_NOT_OPEN.fill(named=named, behaviour=data.behaviour)
        case ReviewRejection.BANNED:
            return _BANNED.fill(named=named)
        case _:
            who = _by(case, case.review_behind(case.in_force))
            upheld = _UPHELD.fill(who=who) if case.changes else _NOTHING
            other = _OTHER_KIND if data.behaviour in OPEN_BEHAVIOURS else _NOTHING
            return _FINAL.fill(named=named, upheld=upheld, other=other)


def review_of(case: LedgerCase, given: GivenVerdict, reviewer: str, reason: str, now_ms: int) -> Review:
    """The record of a verdict on the decision in force. Raises ReviewRefused if a text is empty or too long.

    Telephone numbers in the texts are masked here, except ids of the case: the record is kept in topics and ledger
    permanently.
    """
    in_force, ids = case.in_force, ids_of(*case.events)
    fields = {
        "type": "review",
        "review_id": review_id(in_force.subject, in_force.id, given.verdict, given.kind),
        "enforcement_id": in_force.id,
        "tenant_id": in_force.subject,
        "verdict": given.verdict,
        "reviewer": mask_text(reviewer, ids),
        "reason": mask_text(reason, ids),
        "updated_ms": now_ms,
        "kind": given.kind,
    }
    if not reviewer.strip() or not reason.strip():
        raise ReviewRefused(_EMPTY)
    try:
        record = codec.convert(fields)
    except codec.InvalidRecordError as error:
        raise ReviewRefused(_INVALID.fill(problem=str(error))) from None
    assert isinstance(record, Review)
    return record


def _by(case: LedgerCase, review: Review | None) -> Bilingual:
    if review is None:
        return _NOTHING
    ids = ids_of(review, *case.events)
    return _REVIEWED_BY.fill(reviewer=mask_text(review.reviewer, ids), reason=mask_text(review.reason, ids))
