"""What is wrong with topics while programs run, in Chinese and English: one table."""

from typing import Final

from monitor.text.bilingual import Bilingual

TOPIC_WORDING: Final = {
    "deleted": Bilingual(
        "{topic} 不存在：它被删除了。{restored}。"
        "如果它存在，则是 Kafka 的 ACL 将其隐藏：请授予本程序的用户对它的 Describe 权限",
        "{topic} does not exist: it was deleted. {restored}. If it exists, Kafka's ACLs hide it: "
        "allow the user of this program Describe on it",
    ),
    "create_input": Bilingual(
        "用 `callwarden topics create` 创建它，它将是空的；然后对每个分区运行其错误信息给出的命令",
        "`callwarden topics create` creates it, empty; then run for each partition the command that its error message "
        "names",
    ),
    "create_state": Bilingual(
        "用 `callwarden topics create` 创建它，它将是空的；然后停止工作进程，运行 `callwarden state import FILE`；"
        "没有导出文件时，按各分区的错误信息运行 `callwarden accept lost-state`",
        "`callwarden topics create` creates it, empty; then `callwarden state import FILE` with the workers stopped, "
        "or without an export `callwarden accept lost-state` for each partition, as its error message says",
    ),
    "create": Bilingual(
        "用 `callwarden topics create` 创建它，它将是空的", "`callwarden topics create` creates it, empty"
    ),
    "fewer_partitions": Bilingual(
        "{topic} 有 {found} 个分区，而其他主题有 {expected} 个：它被重新创建，分区变少了。请运行 `{command}`",
        "{topic} has {found} partitions, the others have {expected}: it was created again with fewer. {command}",
    ),
    "more_partitions": Bilingual(
        "{topic} 有 {found} 个分区，而状态按 {expected} 个分区生成：分区 {first} 及以后的记录不会被读取，"
        "分区发生变化的租户的记录被拒收（`wrong_partition`）。见 {page}",
        "{topic} has {found} partitions, the state was made with {expected}: records in partitions {first} and above "
        "are not read, and tenants whose partition changed are rejected (wrong_partition). See {page}",
    ),
    "damaged": Bilingual(
        "{log}：无法读取位移 {offset} 处的内容：{why}", "{log}: what is stored at offset {offset} cannot be read: {why}"
    ),
    "damaged_range": Bilingual(
        "{log}：无法读取位移 {offset} 至 {last} 处的内容：{why}",
        "{log}: what is stored at offset {offset} to {last} cannot be read: {why}",
    ),
}
"""Every sentence by its code."""


def topic_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return TOPIC_WORDING[code].fill(**values).en
