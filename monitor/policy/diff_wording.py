"""The words of the differences between two policies, in Chinese and English: one table.

What stands in a policy file, its keys and values, is the same in both languages.
"""

from typing import Final

from monitor.text.bilingual import Bilingual

DIFF_WORDING: Final = {
    "rule": Bilingual("规则", "rule"),
    "escalation": Bilingual("升级处置", "escalation"),
    "override": Bilingual("参数覆盖", "override"),
    "exemption": Bilingual("豁免", "exemption"),
    "profile": Bilingual("分类豁免", "profile"),
    "prohibited_business": Bilingual("禁止业务", "prohibited business"),
    "tier": Bilingual("等级", "tier"),
    "behaviour": Bilingual("行为", "behaviour"),
    "defaults": Bilingual("默认值", "defaults"),
    "one": Bilingual("{noun} {key}", "{noun} {key}"),
    "with_summary": Bilingual("{what}：{summary}", "{what}: {summary}"),
    "changed": Bilingual("{field}：{before} → {after}", "{field}: {before} -> {after}"),
    "item_removed": Bilingual("{field}：- {item}", "{field}: - {item}"),
    "item_added": Bilingual("{field}：+ {item}", "{field}: + {item}"),
    "items_moved": Bilingual("{field}：顺序有变", "{field}: order changed"),
    "order": Bilingual("顺序：{noun} {before} → {after}", "order: {noun} {before} -> {after}"),
    "absent": Bilingual("（无）", "(none)"),
    "nothing": Bilingual("无", "none"),
}
"""Every text by its code."""


def diff_text(code: str, **values: object) -> Bilingual:
    """A text of the table, with its values."""
    return DIFF_WORDING[code].fill(**values)
