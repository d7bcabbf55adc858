"""Labels of the message subjects."""

from typing import Final

from monitor.report import labels
from monitor.report.labels import BilingualLabel

WHAT: Final = {
    **labels.KINDS,
    "alert": BilingualLabel("预警", "Alert"),
    "pending": BilingualLabel("待复核", "Pending review"),
    "lapse_soon": BilingualLabel("即将逾期失效", "About to lapse"),
    "escalation_hollow": BilingualLabel("升级决定依据不足", "Escalation without ground"),
    "summary": BilingualLabel("每日汇总", "Summary"),
    "digest": BilingualLabel("摘要", "Digest"),
    "records_lost": BilingualLabel("记录缺失", "Records lost"),
}
"""The labels of `Message.what`."""
