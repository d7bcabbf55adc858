"""What things are called in messages: what they are about; a tenant, masked where its id looks like a number."""

import hashlib
from typing import Final

from monitor.report import labels
from monitor.report.labels import Label
from monitor.report.text import identifier

_LONGEST = 64

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


def shown(tenant_id: str) -> str:
    """The id as it is, or masked and cut with a few digits of its hash, so that no two tenants look the same."""
    text = identifier(tenant_id, _LONGEST)
    if text == tenant_id:
        return text
    return f"{text[:_LONGEST]}~{hashlib.sha256(tenant_id.encode()).hexdigest()[:8]}"
