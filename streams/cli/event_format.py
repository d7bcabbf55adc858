"""A decision or an alert as one line, in Chinese and English, fit to scroll by."""

from collections.abc import Sequence

from rich.text import Text

from monitor.report import labels
from monitor.report.labels import label
from monitor.text.display import DEFAULT, Display
from monitor.text.record_ids import ids_of
from monitor.text.timestamps import month_day_time
from schemas.outputs import Alert, Enforcement, Reason
from streams.cli.styles import STYLES

_ALERT_STYLES = {"critical": "red", "warning": "magenta", "info": "dim"}
_REASON = 240


def decision(event: Enforcement, display: Display = DEFAULT, earlier: bool = False) -> Text:
    """One decision: time (UTC), tenant, tier, kind, rule and reason. ``earlier`` marks the time with ``<``."""
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
    who = f"{display.id(event.subject)}  ", f"  [{display.id(data.rule_id)}]  "
    at = _at(data.decided_ms, earlier)
    return _line(at, who, Text(f"{zh} {en}", style), _reason(data.reason, ids_of(event), display))


def alert(sign: Alert, display: Display = DEFAULT, earlier: bool = False) -> Text:
    """One alert: time (UTC), tenant, firing or resolved, rule and reason. ``earlier`` marks the time with ``<``."""
    at = _at(sign.updated_ms, earlier)
    who = f"{display.id(sign.tenant_id)}  ", f"  [{display.id(sign.rule_id)}]  "
    why = _reason(sign.reason, ids_of(sign), display)
    if sign.state == "resolved":
        return _line(at, who, Text("预警解除 Alert resolved", "green"), why)
    severity = label(labels.SEVERITIES, sign.severity)
    what, style = f"预警·{severity.zh} Alert · {severity.en}", _ALERT_STYLES.get(sign.severity, "")
    return _line(at, who, Text(what, style), why)


def _at(at_ms: int, earlier: bool) -> str:
    return f"{month_day_time(at_ms)}{'<' if earlier else ' '} "


def _line(at: str, who: tuple[str, str], what: Text, why: str) -> Text:
    tenant, rule = who
    text = Text(f"{at}{tenant}")
    return text.append_text(what).append(f"{rule}{why}")


def _reason(reason: Reason, ids: Sequence[str], display: Display) -> str:
    # What follows the first semicolon is the clause: the same words each time.
    zh, en = reason.zh.partition("；")[0], reason.en.partition("; ")[0]
    return f"{display.reason(zh, ids, _REASON)} / {display.reason(en, ids, _REASON)}"
