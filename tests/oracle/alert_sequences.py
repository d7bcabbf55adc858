"""The allowed sequences of a partition's alerts, whenever early evaluations ran."""

from collections.abc import Iterator, Sequence

from schemas.outputs import Alert

Who = tuple[str, str]
"""Rule and tenant."""


def wrong_alerts(
    alerts: Sequence[Alert], judged: Sequence[Alert], watermark_ms: int, ahead: Sequence[Alert] = ()
) -> Iterator[str]:
    """Yield what is wrong with a partition's alerts, a line each.

    ``judged`` are the alerts of a replay of the same records without early evaluation, up to ``watermark_ms``;
    ``ahead`` are those that one early evaluation at its end would fire.

    When early evaluations run is random, and therefore which alerts they fire and retract. These hold always: each
    alert fires and resolves once; what the regular evaluation fires also fires here and names the same decisions; an
    evaluated window leaves only the alerts active that its evaluation leaves; and an alert that the last early
    evaluation would fire has fired.
    """
    firing: dict[Who, Alert] = {}
    over: dict[str, Alert] = {}
    for alert in alerts:
        who = _who(alert)
        before = firing.get(who)
        reported = f"{alert.state} {_short(alert)}"
        if alert.alert_id in over:
            yield f"{reported} came after its end"
        elif before is not None and before.alert_id != alert.alert_id:
            yield f"{reported} came while {_short(before)} fired"
        elif alert.state == "resolved" and before is None:
            yield f"{reported} had not fired"
        elif alert.state == "firing" and before is not None and before.enforcement_id is not None:
            yield f"{reported} came twice"
        elif alert.state == "firing" and before is not None and alert.enforcement_id is None:
            yield f"{reported} came twice, and names no decision"
        if alert.state == "firing":
            firing[who] = alert
        else:
            firing.pop(who, None)
            over[alert.alert_id] = alert
    named, due = ({a.enforcement_id: a for a in some if a.enforcement_id} for some in (alerts, judged))
    yield from (f"no alert names {name}, as {_short(due[name])} should" for name in due.keys() - named.keys())
    yield from (f"{_short(named[name])} names {name}, and should not" for name in named.keys() - due.keys())
    last = {_who(alert): alert for alert in judged}
    must = {who: alert for who, alert in last.items() if alert.state == "firing"}
    yield from (f"{_short(must[who])} does not fire" for who in must.keys() - firing.keys())
    yield from (
        f"{_short(firing[who])} fires, and its window was judged"
        for who in firing.keys() - must.keys()
        if firing[who].since_ms <= watermark_ms
    )
    taken_back = {_who(alert): alert.since_ms for alert in over.values()}
    yield from (
        f"{_short(alert)} does not fire, though a look would see it"
        for alert in ahead
        if alert.state == "firing" and _who(alert) not in firing and taken_back.get(_who(alert), -1) < alert.since_ms
    )


def _who(alert: Alert) -> Who:
    return alert.rule_id, alert.tenant_id


def _short(alert: Alert) -> str:
    return f"alert {alert.alert_id} of {alert.tenant_id} by {alert.rule_id} since {alert.since_ms}"
