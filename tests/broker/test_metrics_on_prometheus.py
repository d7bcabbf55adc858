"""The whole system on a real Kafka, scraped by a real Prometheus with our configuration: every panel has data."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alerting.alarms import configuration
from alerting.panels import asked, unanswered
from alerting.programs import alertmanager, get, program, prometheus, wait_for
from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import free_ports
from streams.metrics.catalogue import CATALOGUE
from streams.runtime.child_process import ChildProcess

pytestmark = pytest.mark.services
DEPLOY = Path(__file__).parents[2] / "deploy"
JOBS = ("worker", "ingest", "assemble", "billing", "ledger", "notify", "console")


def test_every_panel_of_both_dashboards_is_answered(jars: Path, tmp_path: Path) -> None:
    promtool = program("promtool", "prometheus")
    ports = dict(zip(JOBS, free_ports(len(JOBS)), strict=True))
    targets = {job: {"static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for job, port in ports.items()}
    names = {job: "WEB" if job == "worker" else job.upper() for job in JOBS}
    environment = os.environ | {
        "TMPDIR": str(tmp_path),
        **{f"CALLWARDEN_{names[job]}_PORT": str(port) for job, port in ports.items()},
    }
    command = [str(Path(sys.executable).parent / "callwarden"), "live", "--tools", str(jars.parent)]
    log = tmp_path / "live.log"
    with log.open("wb") as output:
        live = ChildProcess([*command, "--rate", "1", "--partitions", "2"], output, environment)
    try:
        wait_for(lambda: get(f"http://127.0.0.1:{ports['notify']}/readyz")[0] == 200, "all is there")
        with (
            alertmanager(DEPLOY / "alertmanager" / "alertmanager.yml", tmp_path) as address,
            prometheus(configuration(tmp_path, targets, [address]), tmp_path) as server,
        ):
            tenant = ""

            def left() -> list[str]:
                nonlocal tenant
                near = server.query("topk(1, callwarden_tenant_threshold_ratio)")
                tenant = near[0]["metric"]["tenant"] if near else "nobody"
                return unanswered(server, list(asked()), tenant)

            try:
                wait_for(lambda: not left(), "every panel is answered")
            except AssertionError as error:
                raise AssertionError(f"{error}: {left()}\n{log.read_text('utf-8')[-2000:]}") from None
            assert tenant in server.labels("tenant", "callwarden_tenant_threshold_ratio")
            assert {rule["health"] for rule in server.rules()} == {"ok"}
            firing = {one["metric"]["alertname"] for one in server.query('ALERTS{alertstate="firing"}')}
            assert "CallwardenTargetDown" not in firing
            for job, port in ports.items():
                text = get(f"http://127.0.0.1:{port}/metrics")[1]
                done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
                assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), job
                shown = set(re.findall(r"^# TYPE (callwarden_\S+)", text, re.MULTILINE))
                assert shown == {entry.name for entry in CATALOGUE if job in entry.by}
                assert [label for label in re.findall(r'="([^"]*)"', text) if re.search(r"\d{7}", label)] == []
    finally:
        live.signal(signal.SIGINT)
        live.wait(PATIENCE_S)
