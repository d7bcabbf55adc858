"""Labels of the message subjects."""

from typing import Final

from monitor.report import labels
from monitor.text.bilingual import Bilingual

WHAT: Final = {
    **{kind: name for kind, name in labels.KINDS.items() if kind != "admission_review"},  # that is `pending`
    "alert": Bilingual("预警", "Alert"),
    "pending": Bilingual("待复核", "Pending review"),
    "lapse_soon": Bilingual("即将逾期失效", "About to lapse"),
    "escalation_unsupported": Bilingual("升级决定依据不足", "Escalation without ground"),
    "summary": Bilingual("每日汇总", "Summary"),
    "digest": Bilingual("摘要", "Digest"),
    "records_lost": Bilingual("记录缺失", "Records lost"),
}
"""The labels of `Message.what`."""
