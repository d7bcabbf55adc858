"""Cases and the entries of a tenant, as people read them: in Chinese and English, numbers masked, times in UTC."""

import shlex
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.text import Text

from monitor.policy.metrics import METRICS
from monitor.report import labels
from monitor.report.labels import label
from monitor.text.bilingual import Bilingual
from monitor.text.display import DEFAULT, Display
from monitor.text.masking import mask_text
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import date_time, rfc3339
from schemas.inputs import Review
from schemas.outputs import Enforcement, Evidence
from streams.cli.styles import STYLES
from streams.consumers.ledger.queries.cases import LedgerCase
from streams.reviews.reservations import Reservation
from streams.reviews.signers import ReviewSigner

_STATUSES = {
    "pending": Bilingual("待复核", "pending review"),
    "final": Bilingual("生效中", "in force"),
    "reversed": Bilingual("已撤销", "reversed"),
    "lapsed": Bilingual("已逾期失效", "lapsed"),
}
_STATUS_STYLES = {"pending": "yellow", "final": "red", "reversed": "green", "lapsed": "dim"}
_VERDICTS = {
    "uphold": Bilingual("维持", "upheld"),
    "overturn": Bilingual("撤销", "overturned"),
    "approve": Bilingual("通过", "approved"),
    "reject": Bilingual("驳回", "rejected"),
}
_SIGNATURES = {
    "verified": Bilingual("签名密钥已验证", "signature verified"),
    "unchecked": Bilingual(
        "签名未验证：未设置 CALLWARDEN_REVIEW_KEYS_FILE",
        "signature not verified: CALLWARDEN_REVIEW_KEYS_FILE is not set",
    ),
    "unknown_key": Bilingual(
        "签名未验证：密钥文件中没有这个密钥", "signature not verified: the file of review keys has no key of that name"
    ),
    "wrong": Bilingual("签名无效：不是该密钥对此复核的签名", "wrong signature: it is not of this review by this key"),
    "unsigned": Bilingual("没有签名", "no signature"),
}
_UNITS = ((86_400_000, "天", "d"), (3_600_000, "小时", "h"), (60_000, "分钟", "min"))


def left(case: LedgerCase, now_ms: int) -> Bilingual:
    """How long a pending decision may still be reviewed. An application that waits does not lapse."""
    if case.in_force.data.review_by_ms is None:
        return Bilingual("不会逾期失效", "does not lapse")
    until_ms = case.in_force.data.review_by_ms
    span = until_ms - now_ms
    if span <= 0:
        return Bilingual("复核期限已过，即将失效", "review period over, lapses")
    parts: list[tuple[int, str, str]] = []
    for unit, zh, en in _UNITS:
        count, span = divmod(span, unit)
        if count or parts:
            parts.append((count, zh, en))
    shown = parts[:2] or [(0, "分钟", "min")]
    zh = " ".join(f"{count} {unit}" for count, unit, _ in shown)
    en = " ".join(f"{count} {unit}" for count, _, unit in shown)
    return Bilingual(f"剩余 {zh}", f"{en} left")


def case_line(case: LedgerCase, now_ms: int, display: Display = DEFAULT) -> Text:
    """One line of a list: id in force, tenant, kind, rule, and status."""
    data = case.opening.data
    text = Text(f"{display.id(case.in_force.id)}  {date_time(data.decided_ms)}  {display.id(data.tenant_id)}  ")
    text.append_text(_kind(case.opening)).append(f"  [{display.id(data.rule_id)}]  ")
    return text.append_text(case_status(case, now_ms))


def case_status(case: LedgerCase, now_ms: int) -> Text:
    """The status; of a pending decision also the time left."""
    zh, en = label(_STATUSES, case.status)
    if case.status == "pending":
        left_zh, left_en = left(case, now_ms)
        zh, en = f"{zh}，{left_zh}", f"{en}, {left_en}"
    return Text(f"{zh} / {en}", style=_STATUS_STYLES[case.status])


def event_lines(event: Enforcement, display: Display = DEFAULT) -> list[Text]:
    """An event of the ledger: when, what, id, reason in both languages."""
    data = event.data
    head = Text(f"{date_time(data.decided_ms)}  ").append_text(_kind(event))
    head.append(f"  [{display.id(data.rule_id)}]  {display.id(event.id)}")
    refunds = label(labels.REFUNDS, data.refunds)
    if data.refunds != "unaffected":
        head.append(f"  {refunds.zh} / {refunds.en}")
    lines = [head]
    if data.reverses or data.supersedes:
        what = Bilingual("撤销", "reverses") if data.reverses else Bilingual("取代", "supersedes")
        lines.append(Text(f"    {what.zh} {what.en} {display.id(data.reverses or data.supersedes or '')}"))
    return [*lines, *_reason(event, display)]


def review_lines(
    review: Review,
    took_effect: bool,
    display: Display = DEFAULT,
    case: LedgerCase | None = None,
    signers: Sequence[ReviewSigner] = (),
) -> list[Text]:
    """A review: time, verdict, reviewer, reason, whether it had an effect, and the keys that signed it.

    ``case``: its subject, if known.
    """
    ids = case_ids(case, review)
    verdict = _verdict(review.verdict, review.kind or None)
    line = Text(
        f"{date_time(review.updated_ms)}  复核：{verdict.zh} / Review: {verdict.en}  {display.id(review.review_id)}"
    )
    if not took_effect:
        line.append("  未产生决定 / no decision yet, or it was rejected", style="dim")
    by = f"    {display.text(review.reviewer, ids)}: {display.text(review.reason, ids)}"
    about = Text(f"    对 on {display.id(review.enforcement_id)}")
    return [line, about, Text(by), *(_signer(one, display) for one in signers)]


def _signer(signer: ReviewSigner, display: Display) -> Text:
    """The key that signed a review, and whether the signature is right."""
    zh, en = _SIGNATURES[signer.state]
    name = f"{display.text(signer.name)}: " if signer.name else ""
    return Text(f"    {name}{zh} / {en}", style="red" if signer.state in ("wrong", "unsigned") else "")


def case_lines(
    case: LedgerCase, now_ms: int, display: Display = DEFAULT, signers: Sequence[tuple[ReviewSigner, ...]] | None = None
) -> list[Text]:
    """A whole case: its status, its history, and its evidence. ``signers`` are those of each of its reviews."""
    data = case.opening.data
    head = Text(f"{display.id(data.tenant_id)}  {display.id(case.in_force.id)}  ")
    lines = [head.append_text(case_status(case, now_ms))]
    if case.status == "pending":
        if data.review_by_ms is not None:
            lines.append(Text(f"复核截止 review until {date_time(data.review_by_ms)} UTC"))
        lines.append(_proposed(case))
    if measure := data.measure:
        metric = label(labels.METRIC_NAMES, measure.metric)
        counts = f"{measure.numerator:,}"
        if measure.denominator is not None:
            divided = measure.metric not in METRICS or METRICS[measure.metric].divided
            counts = f"{counts} / {measure.denominator:,}" if divided else f"n = {measure.denominator:,}"
        lines.append(Text(f"{metric.zh} / {metric.en}: {measure.value} ({counts}), 阈值 threshold {measure.threshold}"))
    if window := data.window:
        lines.append(Text(f"窗口 window {date_time(window.start_ms)} – {date_time(window.end_ms)} UTC"))
    lines += _evidence(data.evidence, display)
    # By time; an event follows the review that caused it.
    steps = [(event.data.decided_ms, 1, event_lines(event, display)) for event in case.events]
    used = {each for event in case.events for each in event.data.evidence.review_ids}
    signed = signers or [()] * len(case.reviews)
    steps += [
        (one.updated_ms, 0, review_lines(one, one.review_id in used, display, case, by))
        for one, by in zip(case.reviews, signed, strict=True)
    ]
    for *_, shown in sorted(steps, key=lambda step: step[:2]):
        lines += shown
    return lines


def _proposed(case: LedgerCase) -> Text:
    """What a verdict for the proposed actions would do."""
    data = case.in_force.data
    actions = [label(labels.ACTIONS, action) for action in data.proposed_actions]
    zh, en = "、".join(one.zh for one in actions), ", ".join(one.en for one in actions)
    waits = data.kind == "admission_review"
    return Text(f"{'通过后 when approved' if waits else '维持后 when upheld'}: {zh} / {en}")


def evidence_line(case: LedgerCase, display: Display = DEFAULT) -> list[Text]:
    """The lines of a list: the reason, what an application waits for, and the number of each kind of evidence."""
    evidence = case.in_force.data.evidence
    found = [(names, len(getattr(evidence, name))) for name, names in labels.EVIDENCE.items()]
    counts = [f"{names.zh} {names.en} {count}" for names, count in found if count]
    lines = _reason(case.in_force, display)
    if case.status == "pending" and case.in_force.data.kind == "admission_review":
        lines.append(Text("    ").append_text(_proposed(case)))
    return [*lines, Text(f"    证据 evidence: {'; '.join(counts)}")] if counts else lines


def claim_line(claim: Reservation | None, display: Display = DEFAULT, case: LedgerCase | None = None) -> list[Text]:
    """A verdict that has not taken effect yet. ``case``: its subject, if known."""
    if claim is None:
        return []
    verdict = _verdict(claim.verdict, claim.kind)
    ids = case_ids(case, claim)
    by = f"{display.text(claim.reviewer, ids)}, {date_time(claim.claimed_ms)}: {display.text(claim.reason, ids)}"
    return [Text(f"    已由复核员决定{verdict.zh} / to be {verdict.en}, as decided by {by}", style="cyan")]


def explain_line(case: LedgerCase, display: Display = DEFAULT) -> list[Text]:
    """The command that explains the measured rule or the escalation that decided; a record needs none."""
    data = case.opening.data
    if data.measure is None:
        return []
    tenant = display.id(data.tenant_id)
    name = shlex.quote(tenant) if tenant == data.tenant_id else "TENANT"  # what is masked is no argument
    rule, command = display.id(data.rule_id), f"callwarden policy explain {name} --at {rfc3339(data.decided_ms)}"
    return [Text(f"规则 {rule} 的含义 / what the rule {rule} says: {command}")]


def _verdict(verdict: str, kind: str | None) -> Bilingual:
    """A verdict, and the kind that it chooses."""
    given = label(_VERDICTS, verdict)
    if kind is None:
        return given
    chosen = label(labels.KINDS, kind)
    return Bilingual(f"{given.zh}（{chosen.zh}）", f"{given.en} as a {chosen.en.lower()}")


def case_json(case: LedgerCase, claim: Reservation | None, now_ms: int) -> dict[str, Any]:
    """A case for programs: its event in force, its status, and the verdict that is not in force yet."""
    data = case.in_force.data
    pending = case.status == "pending" and data.review_by_ms is not None
    line = {
        "enforcement_id": case.in_force.id,
        "status": case.status,
        "left_ms": max(0, (data.review_by_ms or 0) - now_ms) if pending else None,
        "event_ids": [event.id for event in case.events],
        "claim": claim and {name: getattr(claim, name) for name in ("verdict", "kind", "claimed_ms", "sent_ms")},
        "data": msgspec.to_builtins(data),
    }
    if claim:
        ids = case_ids(case, claim)
        line["claim"] |= {"reviewer": mask_text(claim.reviewer, ids), "reason": mask_text(claim.reason, ids)}
    return line


def review_json(review: Review, case: LedgerCase | None = None, signers: Sequence[ReviewSigner] = ()) -> dict[str, Any]:
    """A review for programs: its ids whole, telephone numbers in its texts masked, and the keys that signed it."""
    plain: dict[str, Any] = msgspec.to_builtins(review)
    ids = case_ids(case, review)
    plain |= {"reviewer": mask_text(review.reviewer, ids), "reason": mask_text(review.reason, ids)}
    return plain | {"signatures": [{"key": mask_text(one.name) or None, "state": one.state} for one in signers]}


def case_ids(case: LedgerCase | None, about: Review | Reservation) -> tuple[str, ...]:
    """The ids that a text about the case may repeat."""
    mine = (about.tenant_id, about.enforcement_id, about.review_id)
    return (*mine, *ids_of(*case.events)) if case else mine


def _reason(event: Enforcement, display: Display) -> list[Text]:
    reason, ids = event.data.reason, ids_of(event)
    return [Text(f"    {display.reason(reason.zh, ids)}"), Text(f"    {display.reason(reason.en, ids)}")]


def _kind(event: Enforcement) -> Text:
    data = event.data
    zh, en = label(labels.KINDS, data.kind)
    if data.tier:
        tier = label(labels.TIERS, data.tier)
        zh, en = f"{tier.zh}·{zh}", f"{tier.en} · {en}"
    if data.status == "pending_review":
        status = label(labels.STATUSES, data.status)
        zh, en = f"{zh}（{status.zh}）", f"{en} ({status.en.lower()})"
    return Text(f"{zh} {en}", style=STYLES.get(data.tier or "none", ""))


def _evidence(evidence: Evidence, display: Display) -> list[Text]:
    lines = []
    for name, names in labels.EVIDENCE.items():
        if ids := getattr(evidence, name, ()):
            lines.append(Text(f"{names.zh} / {names.en}: {', '.join(map(display.id, ids))}"))
    return lines
