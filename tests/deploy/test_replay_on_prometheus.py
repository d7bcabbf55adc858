"""A replay's metrics page, scraped by a real Prometheus: the dashboards' queries on decisions find data."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alerting.panels import asked, metrics_of, unanswered
from alerting.programs import program, prometheus, wait_for
from monitor.core.threshold_distance import DistanceOptions
from monitor.policy.load import load
from monitor.replay.run import ReplayOptions, replay
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from streams.metrics.catalogue import BY_NAME
from streams.metrics.replay_metrics import page

pytestmark = pytest.mark.services
UNTIL_MS = 1_772_506_800_000  # three in the afternoon of the second day, when windows are full


class Quietly(SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def served(folder: Path) -> Iterator[int]:
    """The folder over HTTP; the port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quietly, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def make_page(folder: Path) -> bytes:
    """The metrics page of two simulated days."""
    simulate(SimulationSettings(tenants=200, days=2, seed=1, calls_per_day=30_000), folder)
    policy, distance_options = load(None), DistanceOptions()
    outcome = replay(
        [folder / "records.jsonl"], policy, ReplayOptions(not_after_ms=UNTIL_MS, distance_options=distance_options)
    )
    return page(outcome, policy, distance_options)


def test_the_dashboards_queries_on_decisions_are_answered_by_a_replay(tmp_path: Path) -> None:
    text = make_page(tmp_path)
    done = subprocess.run([program("promtool", "prometheus"), "check", "metrics"], input=text, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "metrics").write_bytes(text)
    queries = [
        one
        for one in asked()
        if metrics_of(one.expr) and all("replay" in BY_NAME[name].by for name in metrics_of(one.expr))
    ]
    assert len(queries) > 20
    with served(tmp_path / "www") as port:
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 1s}\n"
            f"scrape_configs: [{{job_name: replay, static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]\n"
        )
        with prometheus(config, tmp_path) as server:

            def left() -> list[str]:
                near = server.query("topk(1, callwarden_tenant_threshold_ratio)")
                return unanswered(server, queries, near[0]["metric"]["tenant"]) if near else ["it is not scraped yet"]

            wait_for(lambda: not left(), "every query is answered")
            assert unanswered(server, queries, "nobody") != []


def test_promtool_would_find_fault_with_a_page() -> None:
    bad = b"# TYPE x counter\nx 1\n"
    done = subprocess.run([program("promtool", "prometheus"), "check", "metrics"], input=bad, capture_output=True)
    assert done.returncode != 0
