"""Labels of what messages are about."""

from typing import Final

from monitor.report import labels
from monitor.report.labels import Label

WHAT: Final = {
    **labels.KINDS,
    "alert": Label("预警", "Alert"),
    "pending": Label("待复核", "Pending review"),
    "lapse_soon": Label("即将逾期失效", "About to lapse"),
    "escalation_hollow": Label("升级决定依据不足", "Escalation without ground"),
    "summary": Label("每日汇总", "Summary"),
    "digest": Label("摘要", "Digest"),
    "records_lost": Label("记录缺失", "Records lost"),
}
"""`Message.what` by its names."""
