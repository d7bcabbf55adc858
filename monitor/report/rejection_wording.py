"""Why a record, a row or a review was rejected, by the code word that begins the reason, in Chinese and English."""

from typing import Final

from monitor.text.bilingual import Bilingual

REJECTIONS: Final = {
    "answer_mismatch": Bilingual("接通时间与呼叫结果不符", "answer time does not fit the outcome"),
    "bad_header": Bilingual("消息头的名称不是 UTF-8", "header name is not UTF-8"),
    "bad_signature": Bilingual("复核的签名无效", "review's signature is not valid"),
    "banned": Bilingual("该租户或其主体已被封号，不再开通", "tenant or owner is banned"),
    "batch_too_large": Bilingual("批次解压后过大", "batch is too large"),
    "excluded": Bilingual("映射排除的行", "excluded by the mapping"),
    "future_event": Bilingual("事件时间过于超前", "event time is too far ahead"),
    "impossible_times": Bilingual("通话各时间的先后不对", "times of the call are out of order"),
    "incomplete": Bilingual("通话缺少开始或结束事件", "call lacks an event"),
    "internal_leg": Bilingual("交换机内部的一段呼叫，由另一行计数", "leg inside the switch"),
    "kind_not_open": Bilingual(
        "此处不能选择处置：只有维持第 1、2、3、5 条的决定时可以",
        "a kind can be chosen only when a decision of clause 1, 2, 3 or 5 is upheld",
    ),
    "late_event": Bilingual("事件来得太迟，通话已经结束", "event came after the end of its call"),
    "lone_surrogate": Bilingual("含有代理对的一半", "half of a surrogate pair"),
    "malformed_batch": Bilingual("批次已损坏", "damaged batch"),
    "malformed_json": Bilingual("不是有效的 JSON", "not JSON"),
    "malformed_record": Bilingual("批次中的记录已损坏", "damaged record in a batch"),
    "malformed_row": Bilingual("行的格式不对", "malformed row"),
    "missing_field": Bilingual("缺少必填字段", "a required field is missing"),
    "no_value": Bilingual("记录没有内容", "record without a value"),
    "not_an_object": Bilingual("不是 JSON 对象", "not a JSON object"),
    "not_reviewable": Bilingual("这个决定不能作此复核结论", "the decision takes no such verdict"),
    "not_text": Bilingual("内容不符合文件的编码", "not text in the file's encoding"),
    "not_utf8": Bilingual("不是 UTF-8", "not UTF-8"),
    "nothing_to_change": Bilingual(
        "该决定已最终生效、被撤销或已失效，无法再改变", "the decision is final or ended already"
    ),
    "old_format": Bilingual("批次是 Kafka 0.10 或更早的格式", "batch of Kafka 0.10 or earlier"),
    "out_of_range": Bilingual("时间不在 1990 至 2099 年之间", "time outside 1990 to 2099"),
    "superseded": Bilingual("同一通话以另一版本为准", "another version of the call counts"),
    "superseded_late": Bilingual("新版本来得太迟，话单已经写出", "version came after the call was written"),
    "too_deep": Bilingual("嵌套过深", "nested too deeply"),
    "too_long": Bilingual("记录过长", "record is too long"),
    "too_many_open_calls": Bilingual("租户未结束的通话太多", "too many open calls"),
    "truncated_json": Bilingual("JSON 不完整", "incomplete JSON"),
    "undecodable_batch": Bilingual("批次无法解压", "batch cannot be decompressed"),
    "unknown_catalogue_row": Bilingual("目录中没有这一行", "no such row of the catalogue"),
    "unknown_enforcement": Bilingual("该租户没有这个决定", "the tenant has no such decision"),
    "unknown_type": Bilingual("未知的记录类型", "unknown type of record"),
    "unknown_value": Bilingual("字段的取值不在允许之列", "value is none of those allowed"),
    "unreadable": Bilingual("无法解析", "cannot be decoded"),
    "unreadable_time": Bilingual("时间或时长的格式不对", "unreadable time"),
    "unsigned_review": Bilingual("复核没有签名", "review without a signature"),
    "wrong_key": Bilingual("消息的键不是租户 ID", "key is not the tenant's id"),
    "wrong_length": Bilingual("字段过长、过短或列表过长", "wrong length"),
    "wrong_partition": Bilingual("记录写入了错误的分区", "record is in another partition"),
    "wrong_topic": Bilingual("记录写入了错误的主题", "record is in another topic"),
    "wrong_type": Bilingual("字段的类型不对", "wrong type of value"),
}
"""Every code of `schemas.error_codes.ErrorCode` and of the adapters, and those of rejected reviews."""


def rejection_of(reason: str) -> Bilingual | None:
    """What the code word means that begins ``reason``; None if it is not known."""
    return REJECTIONS.get(reason.partition(":")[0])
