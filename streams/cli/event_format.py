"""A decision or an alert as one line, in Chinese and English, fit to scroll by."""

from rich.text import Text

from monitor.report import labels
from monitor.report.labels import label
from monitor.text.display import identifier, readable
from monitor.text.timestamps import month_day_time
from schemas.outputs import Alert, Enforcement, Reason
from streams.cli.styles import STYLES

_ALERT_STYLES = {"critical": "red", "warning": "magenta", "info": "dim"}
_TENANT, _RULE, _REASON = 24, 32, 240


def decision(event: Enforcement) -> Text:
    """One decision: time (UTC), tenant, tier, kind, rule and reason."""
    data = event.data
    kind = label(labels.KINDS, data.kind)
    zh, en = kind
    if data.tier:
        tier = label(labels.TIERS, data.tier)
        zh, en = f"{tier.zh}·{zh}", f"{tier.en} · {en}"
    if data.status == "pending_review":
        status = label(labels.STATUSES, data.status)
        zh, en = f"{zh}（{status.zh}）", f"{en} ({status.en.lower()})"
    style = STYLES.get(data.tier or "none", "")
    return _line(data.decided_ms, event.subject, f"{zh} {en}", style, data.rule_id, data.reason)


def alert(sign: Alert) -> Text:
    """One alert: time (UTC), tenant, firing or resolved, rule and reason."""
    if sign.state == "resolved":
        return _line(sign.updated_ms, sign.tenant_id, "预警解除 Alert resolved", "green", sign.rule_id, sign.reason)
    severity = label(labels.SEVERITIES, sign.severity)
    what, style = f"预警·{severity.zh} Alert · {severity.en}", _ALERT_STYLES.get(sign.severity, "")
    return _line(sign.updated_ms, sign.tenant_id, what, style, sign.rule_id, sign.reason)


def _line(at_ms: int, tenant: str, what: str, style: str, rule: str, reason: Reason) -> Text:
    text = Text(f"{month_day_time(at_ms)}  {identifier(tenant, _TENANT)}  ")
    text.append(what, style=style)
    # What follows the first semicolon is the clause: the same words each time.
    zh, en = reason.zh.partition("；")[0], reason.en.partition("; ")[0]
    text.append(f"  [{readable(rule, _RULE)}]  {readable(zh, _REASON)} / {readable(en, _REASON)}")
    return text
