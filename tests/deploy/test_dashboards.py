"""Grafana's dashboards, as far as they can be checked without it; tests/broker runs their queries."""

import itertools
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from ruamel.yaml import YAML

from monitor.policy.metrics import METRICS
from streams.metrics.catalogue import CATALOGUE

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
PATHS = sorted((GRAFANA / "dashboards").glob("*.json"))
VIEWS: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text("utf-8")) for path in PATHS}
OF_PROMETHEUS = {
    *("up", "ALERTS", "scrape_samples_scraped"),
    *("process_cpu_seconds_total", "process_resident_memory_bytes"),
}
CHINESE = re.compile("[一-鿿]")


def drawn(view: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels that show data."""
    return [panel for panel in view["panels"] if panel["type"] != "row"]


def queries(view: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in drawn(view) for target in panel.get("targets", ())]


def test_the_committed_files_are_those_that_the_code_makes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, GRAFANA / "dashboards.py", tmp_path], check=True, capture_output=True)
    made = {path.stem: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert made == {path.stem: path.read_text("utf-8") for path in PATHS}, "make metrics"
    assert made.keys() == {"callwarden-ops", "callwarden-tenant"}


@pytest.mark.parametrize("name", VIEWS)
def test_the_schema_knows_every_field(name: str) -> None:
    with warnings.catch_warnings():
        # It would require schema 2, which not every Grafana can provision.
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.models.dashboard import Dashboard
    register_default_plugins()
    read = Dashboard.from_json(VIEWS[name])
    assert json.loads(json.dumps(read, cls=JSONEncoder)) == VIEWS[name]


@pytest.mark.parametrize("name", VIEWS)
def test_no_two_panels_share_an_id_a_title_or_a_place(name: str) -> None:
    panels = VIEWS[name]["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in drawn(VIEWS[name])]
    assert len(titles) > 5
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        mine = set(itertools.product(range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])))
        assert not mine & cells, panel["title"]
        cells |= mine


@pytest.mark.parametrize("name", VIEWS)
def test_every_panel_says_what_it_is_in_both_languages(name: str) -> None:
    for panel in VIEWS[name]["panels"]:
        chinese, dot, english = panel["title"].partition(" · ")
        assert CHINESE.search(chinese), panel["title"]
        assert dot
        assert english
        assert not CHINESE.search(english), panel["title"]
        if panel["type"] not in ("row", "text"):
            assert re.search(r"[一-鿿].*。 [A-Z0-9]", panel["description"]), panel["title"]


@pytest.mark.parametrize("name", VIEWS)
def test_the_prometheus_is_the_readers_choice_everywhere(name: str) -> None:
    variables = {variable["name"]: variable for variable in VIEWS[name]["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    for panel in drawn(VIEWS[name]):
        if panel["type"] == "text":
            continue
        assert panel["datasource"] == wanted
        assert [target["datasource"] for target in panel["targets"]] == [wanted] * len(panel["targets"])
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
    assert all(v["datasource"] == wanted for v in variables.values() if v["type"] == "query")


def in_unit(expr: str) -> str:
    """The unit of a query's result: s for seconds, percentunit for ratios, cps for rates per second, else any."""
    if re.search(r"_total\b|_(?:bucket|count)\b(?!.*quantile)", expr) and "quantile" not in expr:
        return "any"
    timed = re.search(r"time\(\)|callwarden_\w+_seconds\b|callwarden_\w+_seconds_(?:sum|bucket)", expr)
    if timed:
        return "s"
    return "percentunit" if re.search(r"callwarden_\w+_ratio\b(?!_)", expr) and "count(" not in expr else "any"


@pytest.mark.parametrize("name", VIEWS)
def test_seconds_and_shares_are_shown_as_such_and_never_beside_others_on_one_axis(name: str) -> None:
    for panel in drawn(VIEWS[name]):
        overridden = panel.get("fieldConfig", {}).get("overrides", [])
        if panel["type"] == "text" or overridden:
            continue
        units = {in_unit(target["expr"]) for target in panel["targets"]}
        assert len(units) == 1, panel["title"]
        if units != {"any"}:
            assert {panel["fieldConfig"]["defaults"]["unit"]} == units, panel["title"]


def test_each_metric_of_a_rule_is_drawn_in_its_own_unit() -> None:
    [panel] = [panel for panel in drawn(VIEWS["callwarden-tenant"]) if "Metric by rule" in panel["title"]]
    overrides = panel["fieldConfig"]["overrides"]
    for metric in METRICS.values():
        unit = {"ratio": "percentunit", "seconds": "s", "count": "short", "quotient": "short"}[metric.unit]
        series = f"a: rule: {metric.name}"
        found = [o for o in overrides if re.search(o["matcher"]["options"].strip("/"), series)]
        assert [o["properties"] for o in found] == [[{"id": "unit", "value": unit}]], metric.name
    [table] = [panel for panel in drawn(VIEWS["callwarden-ops"]) if "Pending reviews by rule" in panel["title"]]
    [override] = table["fieldConfig"]["overrides"]
    assert (override["matcher"]["options"], override["properties"]) == ("time left", [{"id": "unit", "value": "s"}])


@pytest.mark.parametrize("name", VIEWS)
def test_no_query_asks_for_a_metric_label_or_variable_that_is_not_there(name: str) -> None:
    known = {entry.name: {label.name for label in entry.labels} for entry in CATALOGUE}
    for entry in CATALOGUE:
        if entry.kind == "histogram":
            for part in ("bucket", "count", "sum"):
                known[f"{entry.name}_{part}"] = known[entry.name] | {"le"}
    variables = {variable["name"] for variable in VIEWS[name]["templating"]["list"]}
    asked = queries(VIEWS[name]) + [
        str(variable["query"]["query"]) for variable in VIEWS[name]["templating"]["list"] if variable["type"] == "query"
    ]
    for expr in asked:
        named = set(re.findall(r"\b(?:callwarden_\w+|process_\w+|scrape_samples_scraped|ALERTS|up)\b", expr))
        assert named, expr
        assert named - known.keys() <= OF_PROMETHEUS, expr
        labels = set().union(*(known.get(metric, set()) for metric in named)) | {
            "job",
            "instance",
            "alertstate",
            "source",
            "__name__",
        }
        for group in re.findall(r"by \(([^)]*)\)", expr):
            assert {label.strip() for label in group.split(",")} <= labels, expr
        for matchers in re.findall(r"\{([^}]*)\}", expr):
            assert set(re.findall(r"(\w+)\s*(?:=~|!=|=)", matchers)) <= labels, expr
        assert set(re.findall(r"\$(\w+)", expr)) - {"__rate_interval", "__range"} <= variables, expr


def test_no_panel_counts_tenants_by_series_that_may_be_left_out() -> None:
    every = queries(VIEWS["callwarden-ops"])
    counting = r"\b(count|sum)\b.*callwarden_tenant_(threshold|value|calls|violations)"
    assert [expr for expr in every if re.search(counting, expr)] == []


@pytest.mark.parametrize("name", VIEWS)
def test_every_bucket_that_is_asked_for_is_one_of_the_histogram(name: str) -> None:
    ends = {entry.name: {str(end) for end in entry.buckets} for entry in CATALOGUE if entry.buckets}
    for expr in queries(VIEWS[name]):
        for histogram, end in re.findall(r'(callwarden_\w+)_bucket\{[^}]*\ble="([^"]*)"', expr):
            assert end in ends[histogram], expr


def test_a_tenant_leads_to_its_page() -> None:
    links = [
        link["url"]
        for panel in drawn(VIEWS["callwarden-ops"])
        for link in panel["fieldConfig"]["defaults"].get("links", ())
    ]
    uid = VIEWS["callwarden-tenant"]["uid"]
    found = [re.findall(r"^/d/([\w-]+)\?.*var-tenant=\$\{__data\.fields\.tenant\}", url) for url in links]
    assert found == [[uid], [uid]]


def test_every_metric_of_the_catalogue_is_drawn_but_for_those_that_need_no_drawing() -> None:
    named = {name for view in VIEWS.values() for expr in queries(view) for name in re.findall(r"callwarden_\w+", expr)}
    left = {e.name for e in CATALOGUE if not any(name.startswith(e.name) for name in named)}
    assert left == {
        "callwarden_last_event_timestamp_seconds",  # of a replay only
        "callwarden_silent_seconds",  # the one of calls is drawn
        "callwarden_consumer_lag_records",  # the delay in time says more
        "callwarden_consumer_open_transaction_seconds",  # an alert uses it
        "callwarden_topic_faults",  # likewise
        "callwarden_owners_lag_records",
        "callwarden_owners_unreadable_seconds",
        "callwarden_owner_bans_rejected_total",
        "callwarden_host_clock_ahead_seconds",
        "callwarden_agent_failing",  # its alert names agent and instance
        "callwarden_agent_failures_total",
        "callwarden_agent_batch_seconds",
        "callwarden_agent_records_total",
        "callwarden_agent_lost_total",
        "callwarden_http_connections_refused_total",  # its alert names program and instance
        "callwarden_review_keys",  # it alerts
        "callwarden_billing_events_total",
        "callwarden_billing_rejected_records",  # these alert
        "callwarden_billing_unread_records",
        "callwarden_billing_unread_records_of_any_tenant",
        "callwarden_billing_accepted_gaps",
        "callwarden_billing_request_duration_seconds",
        "callwarden_assemble_events_total",
        "callwarden_assemble_calls_total",
        "callwarden_assemble_open_calls",
        "callwarden_assemble_clock_timestamp_seconds",
        "callwarden_assemble_partitions",
        "callwarden_assemble_lag_records",
        "callwarden_assemble_transactions_failed_total",
        "callwarden_bridge_partitions",  # these alert, or explain an alert
        "callwarden_bridge_lag_records",
        "callwarden_bridge_transactions_failed_total",
        "callwarden_bridge_rows_total",
        "callwarden_bridge_rejected_total",
        "callwarden_ingest_records_total",  # these alert, or explain an alert
        "callwarden_ingest_rejected_total",
        "callwarden_ingest_letters_dropped_total",
        "callwarden_ingest_repeated_requests_total",
        "callwarden_ingest_keys",
        "callwarden_ingest_held_bytes",
        "callwarden_ingest_request_duration_seconds",
        "callwarden_follow_rows_total",  # likewise
        "callwarden_follow_rejected_total",
        "callwarden_follow_read_bytes_total",
        "callwarden_follow_losses_total",
        "callwarden_follow_lost_bytes_total",
        "callwarden_follow_backlog",
        "callwarden_follow_source_up",
        "callwarden_follow_caught_up_timestamp_seconds",
        "callwarden_ledger_unreadable_total",
        "callwarden_ledger_heads_published_timestamp_seconds",
        "callwarden_ledger_verified_timestamp_seconds",
        "callwarden_ledger_verified_entries",
        "callwarden_ledger_verified_differences",
        "callwarden_notify_failed_total",
        "callwarden_notify_given_up_total",
        "callwarden_notify_rejected_total",
        "callwarden_notify_lost_total",
        "callwarden_console_rejected_total",
        "callwarden_console_lost_total",
        "callwarden_console_outbox_oldest_seconds",
        "callwarden_console_open_pages",
        "callwarden_console_previews_total",
        "callwarden_console_failed_sign_ins_total",
        "callwarden_console_evidence_records_total",
        "callwarden_console_evidence_waiting_records",
        "callwarden_console_evidence_oldest_seconds",
        "callwarden_console_request_duration_seconds",
    }


def test_grafanas_provisioning_fits_the_dashboards_and_prometheus() -> None:
    yaml = YAML(typ="safe")
    (source,) = yaml.load(GRAFANA / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    scraped = yaml.load(GRAFANA.parent / "prometheus" / "prometheus.yml")["global"]
    assert source["type"] == "prometheus"
    assert source["jsonData"]["timeInterval"] == scraped["scrape_interval"]
    (provider,) = yaml.load(GRAFANA / "provisioning" / "dashboards" / "callwarden.yml")["providers"]
    assert provider["type"] == "file"
    assert provider["options"]["path"] == "/etc/callwarden/dashboards"
