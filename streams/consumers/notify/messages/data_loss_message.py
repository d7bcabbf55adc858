"""The message that records of a topic were deleted before anybody was notified of them."""

from monitor.text.masking import mask_text
from schemas.outputs import Reason
from streams.consumers.data_loss import RecordsLost
from streams.consumers.notify.messages.message import Message


def records_lost(lost: RecordsLost, of_alerts: bool, now_ms: int) -> Message:
    """``of_alerts``: earlier alerts are considered over; otherwise tenant states may be incomplete."""
    zh, en = map(mask_text, lost.message)
    next_ = Reason("后续：租户现状可能不全，请查看台账", "Next: tenant states may be incomplete, check the ledger")
    if of_alerts:
        next_ = Reason("后续：此前的预警一律视为已结束", "Next: all earlier alerts are considered resolved")
    return Message(
        id=f"lost:{lost.tp.topic}:{lost.tp.partition}:{lost.offset}:{now_ms}",
        what="records_lost",
        severity="critical",
        at_ms=now_ms,
        title=Reason("有关租户的记录在通知之前已被删除", "Records were deleted before anybody was notified"),
        lines=(Reason(f"缺失：{zh}", f"Missing: {en}"), next_),
    )
