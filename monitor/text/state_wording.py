"""Why a stored state cannot be used, in Chinese and English: one table. Workers write the English ones."""

from typing import Final

from monitor.text.bilingual import Bilingual

STATE_WORDING: Final = {
    "head": Bilingual("存储的状态的头部", "the stored head"),
    "other_format": Bilingual(
        "{what}的格式为 {known}，而此版本读取的格式为 {expected}",
        "{what} has format {known}; this release reads format {expected}",
    ),
    "other_release": Bilingual(
        "存储的状态的头部由另一版本写成（{error}）；请启动写成它的版本",
        "the stored head is of another release ({error}); start the release that wrote it",
    ),
    "other_fields": Bilingual(
        "该状态所计的通话字段或其顺序与此版本不同（{fields}）：请启动写成它的版本",
        "the state counts other fields of a call than this release, or in another order ({fields}): start the release "
        "that wrote it",
    ),
    "no_tenant": Bilingual(
        "存储的状态缺少 t{tenant}，却有它的一页 {page}", "the stored state lacks t{tenant}, whose page {page} it has"
    ),
    "no_names": Bilingual(
        "存储的状态缺少 n{number}，其中有 {count} 个租户的名称",
        "the stored state lacks n{number}, with names of its {count} tenants",
    ),
    "other_names": Bilingual(
        "存储的状态有 {found} 个租户的名称，而其头部记为 {counted} 个",
        "the stored state has the names of {found} tenants; its head counts {counted}",
    ),
    "missing_part": Bilingual(
        "存储的状态中 {key} 应有 {count} 部分，缺少 {missing}",
        "expected {count} parts of {key} in the stored state; {missing} is missing",
    ),
    "missing_entries": Bilingual(
        "其头部记有 {counted} 条，实有 {found} 条", "its head counts {counted} entries, got {found}"
    ),
    "other_partitions": Bilingual(
        "该状态按 {stored} 个分区写成，而主题有 {found} 个；两者应相同，否则租户会被分到另外的分区",
        "the state was written for {stored} partitions, the topics have {found}; expected the same number, because "
        "another number assigns tenants to other partitions",
    ),
    "other_partition": Bilingual(
        "应为分区 {expected} 的状态，却是分区 {found} 的",
        "expected the state of partition {expected}, got that of partition {found}",
    ),
    "other_partitioner": Bilingual(
        "该状态按分区方式 {stored} 写成；`CALLWARDEN_PARTITIONER` 应与之相同，而设置为 {given}",
        "the state was written with the partitioner {stored}; expected the same in CALLWARDEN_PARTITIONER, got {given}",
    ),
    "other_secret": Bilingual(
        "该状态用另一个密钥写成；应使用写成它时的密钥文件",
        "the state was written with another secret; expected the key file that it was written with",
    ),
    "no_policy": Bilingual(
        "存储的状态的头部指向策略 {policy}，而该状态没有这份策略",
        "the head of the stored state names the policy {policy}, which the state does not contain",
    ),
    "unreadable_policy": Bilingual(
        "此版本无法读取状态中存储的策略：{error}", "this release cannot read the stored policy: {error}"
    ),
}
"""Every sentence by its code."""


def state_text(code: str, **values: object) -> str:
    """A sentence in English, with its values."""
    return STATE_WORDING[code].fill(**values).en
