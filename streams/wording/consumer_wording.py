"""Why a consumer (billing, ledger, notifier) is not ready, in Chinese and English: one table."""

from typing import Final

from monitor.text.bilingual import Bilingual

CONSUMER_WORDING: Final = {
    "not_begun": Bilingual("尚未读到主题：见日志", "has not reached the topics yet: see the log"),
    "not_caught_up": Bilingual(
        "尚未把主题读到末尾：还有 {records} 条记录", "has not read the topics to their ends yet: {records} records left"
    ),
    "behind": Bilingual("落后 {seconds} 秒；还有 {records} 条记录", "is {seconds} s behind; {records} records left"),
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
}
"""Every sentence by its code."""


def consumer_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return CONSUMER_WORDING[code].fill(**values).en
