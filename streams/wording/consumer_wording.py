"""Why a consumer (billing, ledger, notifier) is not ready, in Chinese and English: one table."""

from typing import Final

from monitor.text.bilingual import Bilingual

CONSUMER_WORDING: Final = {
    "not_begun": Bilingual("尚未读到主题：见日志", "has not reached the topics yet: see the log"),
    "not_caught_up": Bilingual(
        "尚未把主题读到末尾：还有 {records} 条记录", "has not read the topics to their ends yet: {records} records left"
    ),
    "behind": Bilingual("落后 {seconds} 秒；还有 {records} 条记录", "is {seconds} s behind; {records} records left"),
    "failing": Bilingual("{doing}；上次尝试失败：{why}", "{doing}; the last try failed: {why}"),
    "open_transaction": Bilingual(
        "{log} 位移 {offset} 处的事务已有 {seconds} 秒未结束：在它提交或中止之前，其后提交的记录都无法读取",
        "a transaction of {log} has been open at offset {offset} for {seconds} s: records committed after it cannot be "
        "read until it is committed or aborted",
    ),
    "overdue": Bilingual(
        "{log} 已处理到位移 {offset}；其后的记录写于 {seconds} 秒前",
        "{log} is handled up to offset {offset}; the records after it were written {seconds} s ago",
    ),
    "any_tenant_unread": Bilingual(
        "有可能涉及任何租户的记录无法读取：在接受它们之前不回答任何租户；用 `callwarden billing --unread` 列出它们",
        "records that may concern any tenant cannot be read: no tenant is answered until they are accepted; "
        "`callwarden billing --unread` lists them",
    ),
    "lost": Bilingual(
        "{log}：下一条要处理的记录是 {offset}，但 {start} 之前的记录都已被删除",
        "{log}: the next record to handle is {offset}, but all records before {start} were deleted",
    ),
    "lost_end": Bilingual(
        "{log}：下一条要处理的记录是 {offset}，但主题止于 {start}：它被重新创建，或者此数据库属于另一个集群",
        "{log}: the next record to handle is {offset}, but the topic ends at {start}: it was recreated, or this "
        "database belongs to another cluster",
    ),
    "lost_rewritten": Bilingual(
        "{log}：下一条要处理的记录是 {offset}，但最后处理的记录已变：主题被重新创建，或被截断后重写，"
        "或者此数据库属于另一个集群",
        "{log}: the next record to handle is {offset}, but the last handled record has changed: the topic was "
        "recreated or truncated and rewritten, or this database belongs to another cluster",
    ),
}
"""Every sentence by its code."""


def consumer_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return consumer_sentence(code, **values).en


def consumer_sentence(code: str, **values: object) -> Bilingual:
    """A sentence in both languages, with its values."""
    return CONSUMER_WORDING[code].fill(**values)
