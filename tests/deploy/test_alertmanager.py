"""Alertmanager with our configuration: which receiver gets which alert, which alerts are inhibited, and delivery."""

import json
import re
import subprocess
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from test_alert_rules import ALERTS

from alerting.programs import alertmanager, get, program, prometheus, receiver, wait_for
from helpers.patience import PATIENCE_S

DEPLOY = Path(__file__).parents[2] / "deploy"
CONFIG = DEPLOY / "alertmanager" / "alertmanager.yml"
TENANT = {
    "alertname": "CallwardenTenant",
    "source": "notify",
    "kind": "alert",
    "tenant": "acme",
    "behaviour": "blind_calling",
}

pytestmark = pytest.mark.services


def amtool(*arguments: str) -> str:
    done = subprocess.run([program("amtool", "prometheus-alertmanager"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_amtool_finds_nothing_wrong_with_the_configuration() -> None:
    assert "SUCCESS" in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("receiver", "labels"),
    [
        ("tenants", {**TENANT, "severity": "warning"}),
        ("tenants-critical", {**TENANT, "severity": "critical"}),
        ("tenants-info", {**TENANT, "severity": "info"}),
        ("tenants", {**TENANT, "severity": "warning", "kind": "pending"}),
        ("tenants-critical-once", {**TENANT, "severity": "critical", "kind": "ban"}),
        ("tenants-once", {**TENANT, "severity": "warning", "kind": "reversal"}),
        ("tenants-info-once", {**TENANT, "severity": "info", "kind": "summary"}),
        ("ops-critical", {"alertname": "CallwardenTargetDown", "source": "health", "severity": "critical"}),
        ("ops", {"alertname": "CallwardenDeadLetters", "source": "health", "severity": "warning"}),
        ("watchdog", {"alertname": "CallwardenWatchdog", "source": "health", "severity": "none"}),
        ("ops", {"alertname": "SomebodyElses"}),
    ],
)
def test_an_alert_goes_to_its_receiver(receiver: str, labels: dict[str, str]) -> None:
    given = [f"{name}={value}" for name, value in labels.items()]
    assert amtool("config", "routes", "test", f"--config.file={CONFIG}", *given).split() == [receiver]


def hurried(folder: Path, receiver_url: str) -> Path:
    """Our configuration, with the test receivers' address and short intervals."""
    text = CONFIG.read_text("utf-8").replace("http://127.0.0.1:5001", receiver_url)
    text = re.sub(r"(group_wait|group_interval): \w+", r"\1: 1s", text)
    path = folder / "alertmanager.yml"
    path.write_text(text, "utf-8")
    return path


def post(address: str, *labels: dict[str, str], over: bool = False) -> None:
    """Post alerts as `callwarden notify` does, firing or resolved."""
    times = {"endsAt": datetime.now(UTC).isoformat()} if over else {}
    body = json.dumps([{"labels": each, "annotations": {"summary": "…"}, **times} for each in labels]).encode()
    request = urllib.request.Request(
        f"http://{address}/api/v2/alerts", body, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        assert answer.status == 200


def suppressed(address: str) -> set[str]:
    """The inhibited alerts, by name and severity."""
    alerts = json.loads(get(f"http://{address}/api/v2/alerts")[1])
    return {
        f"{alert['labels']['alertname']} {alert['labels'].get('severity', '')}".strip()
        for alert in alerts
        if alert["status"]["inhibitedBy"]
    }


def test_consequences_of_a_worse_alert_are_inhibited(tmp_path: Path) -> None:
    with receiver() as received, alertmanager(hurried(tmp_path, received.url), tmp_path) as address:
        health = {rule["alert"]: {"alertname": rule["alert"], **rule["labels"]} for rule in ALERTS}
        post(address, *({**TENANT, "severity": severity} for severity in ("info", "warning", "critical")))
        post(address, {**TENANT, "tenant": "bravo", "severity": "warning"})
        post(address, {**TENANT, "kind": "reversal", "severity": "info"})
        post(address, {**health["CallwardenTargetDown"], "job": "billing"})
        post(address, *({**health["CallwardenConsumerBehind"], "job": job} for job in ("billing", "ledger")))
        wait_for(lambda: "CallwardenConsumerBehind" in received.names("/ops-critical"), "the ledger's alert arrives")
        wait_for(lambda: received.names("/tenants-critical") and received.names("/tenants"), "tenants' alerts arrive")
        wanted = {"CallwardenTenant info", "CallwardenTenant warning", "CallwardenConsumerBehind critical"}
        wait_for(lambda: suppressed(address) == wanted, "what follows is suppressed")
        wait_for(lambda: received.names("/tenants-info"), "a reversal arrives though something worse is in force")
        received_info = [
            alert["labels"] for path, body in received.heard if path == "/tenants-info" for alert in body["alerts"]
        ]
        assert {labels["kind"] for labels in received_info} == {"reversal"}
        tenants = [
            alert["labels"]["tenant"] for path, body in received.heard if path == "/tenants" for alert in body["alerts"]
        ]
        assert set(tenants) == {"bravo"}
        behind = [
            body for path, body in received.heard if path == "/ops-critical" and "Behind" in str(body["groupLabels"])
        ]
        assert {alert["labels"]["job"] for body in behind for alert in body["alerts"]} == {"ledger"}
        post(address, health["CallwardenBrokerAway"], health["CallwardenNoRecords"], health["CallwardenLagGrowing"])
        wait_for(lambda: "CallwardenBrokerAway" in received.names("/ops-critical"), "the broker's alert arrives")
        more = {"CallwardenNoRecords critical", "CallwardenLagGrowing warning"}
        wait_for(lambda: suppressed(address) == wanted | more, "what follows from the broker is suppressed")
        assert not {"CallwardenNoRecords", "CallwardenLagGrowing"} & {
            *received.names("/ops"),
            *received.names("/ops-critical"),
        }


@pytest.mark.parametrize(("kind", "severity"), [("alert", "warning"), ("ban", "critical")])
def test_a_storm_of_a_thousand_tenants_makes_few_notifications_that_name_them_all(
    kind: str, severity: str, tmp_path: Path
) -> None:
    storm = [{**TENANT, "kind": kind, "severity": severity, "tenant": f"t{n:04}"} for n in range(1000)]
    with receiver() as received, alertmanager(hurried(tmp_path, received.url), tmp_path) as address:
        for at in range(0, len(storm), 100):  # as many at once as the notifier posts
            post(address, *storm[at : at + 100])

        def named() -> set[str]:
            return {alert["labels"]["tenant"] for _, body in received.heard for alert in body["alerts"]}

        wait_for(lambda: named() == {labels["tenant"] for labels in storm}, "all tenants are named")
        assert len(received.heard) <= 20, "a notification for each tenant"
        assert {body["groupKey"] for _, body in received.heard} == {received.heard[0][1]["groupKey"]}


def test_a_decision_is_never_sent_as_resolved_and_an_alert_is(tmp_path: Path) -> None:
    levels, everybody = ("critical", "warning", "info"), {"/tenants-critical", "/tenants", "/tenants-info"}

    def of(kind: str) -> list[dict[str, str]]:
        return [{**TENANT, "kind": kind, "severity": level, "tenant": f"{level}-{kind}"} for level in levels]

    with receiver() as received, alertmanager(hurried(tmp_path, received.url), tmp_path) as address:

        def heard(kind: str, status: str) -> set[str]:
            """The receivers that got it."""
            return {
                path
                for path, body in received.heard
                for alert in body["alerts"]
                if (alert["labels"]["kind"], alert["status"]) == (kind, status)
            }

        def by_everybody(kind: str, status: str) -> Callable[[], bool]:
            return lambda: heard(kind, status) == everybody

        post(address, *of("ban"))
        wait_for(by_everybody("ban", "firing"), "the bans arrive")
        post(address, *of("ban"), over=True)
        for kind in ("alert", "pending"):  # in turn: otherwise the bans would have been sent as resolved meanwhile
            post(address, *of(kind))
            wait_for(by_everybody(kind, "firing"), f"{kind} arrives")
            post(address, *of(kind), over=True)
            wait_for(by_everybody(kind, "resolved"), f"{kind} is over")
        assert heard("ban", "resolved") == set()


def test_no_inhibition_names_an_alert_that_does_not_exist() -> None:
    text = CONFIG.read_text("utf-8")
    named = set(re.findall(r"Callwarden\w+", text))
    assert named <= {rule["alert"] for rule in ALERTS}


def test_an_alert_of_a_real_prometheus_arrives_through_a_real_alertmanager(tmp_path: Path) -> None:
    with receiver() as received, alertmanager(hurried(tmp_path, received.url), tmp_path) as address:
        rules = (DEPLOY / "prometheus" / "callwarden.rules.yml").read_text("utf-8")
        (tmp_path / "callwarden.rules.yml").write_text(re.sub(r"for: \w+", "for: 0s", rules), "utf-8")
        config = YAML(typ="safe").load(DEPLOY / "prometheus" / "prometheus.yml")
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [address]
        # No receiver is listening.
        config["scrape_configs"] = [{"job_name": "worker", "static_configs": [{"targets": ["127.0.0.1:1"]}]}]
        path = tmp_path / "prometheus.yml"
        path.write_text(json.dumps(config), "utf-8")
        with prometheus(path, tmp_path) as server:
            said = "worker 无法采集 / worker at 127.0.0.1:1 cannot be scraped"
            wait_for(lambda: said in json.dumps(received.heard, ensure_ascii=False), "the alert arrives")
            wait_for(lambda: received.names("/watchdog"), "the watchdog arrives")
            assert {rule["name"] for rule in server.rules()} == {rule["alert"] for rule in ALERTS}
    assert {path for path, _ in received.heard} == {"/ops-critical", "/watchdog"}
    assert set(received.names("/watchdog")) == {"CallwardenWatchdog"}
    assert set(received.names("/ops-critical")) == {"CallwardenTargetDown"}
