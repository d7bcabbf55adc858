"""What a partition waits for, in Chinese and English: one table. Workers write the English sentences."""

from typing import Final

from monitor.text.bilingual import Bilingual

WAIT_WORDING: Final = {
    "old_records": Bilingual(
        "分区 {number}：{topic} 推迟了判定：其记录较旧，时钟为 {clock}，自 {since} 起一直落后；"
        "请让其生产者追上进度，或停止它：判定不等待静默数据源",
        "partition {number}: {topic} holds decisions back: its clock is at {clock}, and has been behind since {since}, "
        "because its records are old; let its producer catch up, or stop it: decisions do not wait for a silent source",
    ),
    "unread": Bilingual(
        "分区 {number}：{topic} 尚未读到末尾，{clock} 之后的判定在等待它；若 `callwarden_lag_records` 持续增长，"
        "请启动更多工作进程",
        "partition {number}: {topic} is not read to its end, and decisions after {clock} wait for it; start more "
        "workers if callwarden_lag_records grows",
    ),
    "beginning": Bilingual("起点", "the beginning"),
    "outage_grace": Bilingual(
        "分区 {number}：所有分区都没有话单到达，判定在等待可能缺失的话单：{decided}（若不再有话单到达）；"
        "若没有话单缺失：`{command}`",
        "partition {number}: no calls arrive in any partition, and decisions wait for calls that may be missing: "
        "{decided}, if no more calls come; if no calls are missing: {command}",
    ),
    "records_decided": Bilingual(
        "截至 {until} 的投诉等记录将于 {at} 判定", "complaints and other records up to {until} are decided at {at}"
    ),
    "records_and_windows": Bilingual(
        "截至 {until} 的投诉等记录将于 {at} 判定，{windows}",
        "complaints and other records up to {until} are decided at {at}, {windows}",
    ),
    "windows_evaluated": Bilingual(
        "含最新话单的窗口将于 {at} 判定", "windows with the newest calls are evaluated at {at}"
    ),
    "windows_evaluated_by_step": Bilingual(
        "含最新话单的窗口将于 {from_at}（步长 {first} 的规则）至 {to_at}（{last}）判定",
        "windows with the newest calls are evaluated from {from_at} (rules with a step of {first}) to {to_at} ({last})",
    ),
    "open_transaction": Bilingual(
        "分区 {number}：{topic} 中有生产者的事务自 {since} 起未结束，位移 {offset} 起的记录都无法读取；"
        "若该生产者已停止，请运行 `{command}`",
        "partition {number}: a producer's transaction in {topic} has been open since {since}, and no record from "
        "offset {offset} on can be read; if its producer has ended: {command}",
    ),
}
"""Every sentence and part of one by its code."""


def wait_text(code: str, **values: object) -> Bilingual:
    """A sentence, with its values."""
    return WAIT_WORDING[code].fill(**values)
