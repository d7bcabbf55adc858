"""Why a partition refuses a command, in Chinese and English: one table. Workers write the English ones."""

from typing import Final

from monitor.text.bilingual import Bilingual
from monitor.text.timestamps import any_time

REFUSAL_WORDING: Final = {
    # A change of the policy.
    "too_large": Bilingual(
        "策略解析后有 {size:,} 字节；至多 {most:,} 字节",
        "the policy has {size:,} bytes, resolved; expected at most {most:,}",
    ),
    "already": Bilingual(
        "策略 {sha256} 已经生效，或已安排自 {start} 起生效",
        "the policy {sha256} already applies, or will apply from {start} on",
    ),
    "unreadable": Bilingual("此版本无法读取该策略：{error}", "this release cannot read the policy: {error}"),
    "judged": Bilingual(
        "已有记录按该策略判定，或被它判为迟到：{begun}；请改为采用另一策略",
        "records were already judged or found late under it: {begun}; apply another policy instead",
    ),
    "begun": Bilingual("{sha256}（自 {start} 起）", "{sha256} from {start} on"),
    "beginning": Bilingual("起点", "the beginning"),
    "not_scheduled": Bilingual("没有安排这样的策略", "no such policy is scheduled"),
    # Records to pass over, losses to accept.
    "not_an_input": Bilingual(
        "主题 {topic!r} 不是输入；应为以下之一：{expected}",
        "topic {topic!r} is not an input; expected one of {expected}",
    ),
    "already_read": Bilingual(
        "位移 {offset} 处的记录已经读过；应为 {next_offset} 或更后",
        "the record at offset {offset} was already read; expected {next_offset} or later",
    ),
    "no_such_loss": Bilingual(
        "位移 {offset} 处没有 {what}；应与错误信息中的一致",
        "{what} at offset {offset}: there is no such loss; expected that of the error message",
    ),
}
"""Every sentence and part of one by its code."""


def refusal_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return REFUSAL_WORDING[code].fill(**values).en


def start_text(from_ms: int) -> str:
    """The event time from which a version of the policy applies, in a sentence."""
    return any_time(from_ms) if from_ms else refusal_text("beginning")
