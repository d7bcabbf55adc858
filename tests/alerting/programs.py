"""A private Prometheus and Alertmanager from Debian's packages, on 127.0.0.1, removed after the tests."""

import json
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess


def program(name: str, package: str) -> str:
    """The path of the program. Without it the test is skipped, or fails where services are required."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name}: on Debian and Ubuntu `apt-get install {package}`")
    return found


def wait_for(holds: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; raises AssertionError when it does not in time."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.1)


def get(url: str) -> tuple[int, str]:
    """Status and body; 0 when nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read().decode()
    except OSError:
        return 0, ""


@contextmanager
def running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    """Run the program while the context is active, from the moment its page ``ready`` answers."""
    with log.open("wb") as output:
        child = ChildProcess(command, output)
    try:
        wait_for(lambda: get(ready)[0] == 200 or not child.running, f"{command[0]} is ready")
        assert child.running, log.read_text("utf-8")[-2000:]
        yield
    finally:
        child.stop(10)


class Prometheus:
    """Answers queries at ``url``."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The current result of an instant query. Raises AssertionError when it is refused."""
        status, body = get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expr})}")
        assert status == 200, f"{expr}: {body}"
        found: list[dict[str, Any]] = json.loads(body)["data"]["result"]
        return found

    def labels(self, label: str, selector: str) -> list[str]:
        """The values of a label among the series of a selector."""
        asked = urllib.parse.urlencode({"match[]": selector})
        status, body = get(f"{self.url}/api/v1/label/{label}/values?{asked}")
        assert status == 200, body
        found: list[str] = json.loads(body)["data"]
        return found

    def rules(self) -> list[dict[str, Any]]:
        """The alerting rules as evaluated."""
        body = json.loads(get(f"{self.url}/api/v1/rules")[1])
        return [rule for group in body["data"]["groups"] for rule in group["rules"]]


@contextmanager
def prometheus(config: Path, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus under this configuration, its storage in ``folder``."""
    port = free_ports(1)[0]
    command = [
        program("prometheus", "prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, folder / "prometheus.log", f"http://127.0.0.1:{port}/-/ready"):
        yield Prometheus(port)


@contextmanager
def alertmanager(config: Path, folder: Path) -> Iterator[str]:
    """An Alertmanager with this configuration; its address, HOST:PORT."""
    port = free_ports(1)[0]
    command = [
        program("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, folder / "alertmanager.log", f"http://127.0.0.1:{port}/-/ready"):
        yield f"127.0.0.1:{port}"


class Receiver:
    """Receives webhooks: ``heard`` lists (path, body) in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                heard.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def names(self, path: str) -> list[str]:
        """The names of the alerts that were posted there, without those that are resolved."""
        bodies = [body for where, body in self.heard if where == path]
        alerts = [alert for body in bodies for alert in body["alerts"] if alert["status"] == "firing"]
        return [alert["labels"]["alertname"] for alert in alerts]

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that ends with the test."""
    one = Receiver()
    try:
        yield one
    finally:
        one.close()


def amtool(address: str, *arguments: str) -> str:
    """The output of `amtool` about the Alertmanager there."""
    command = [program("amtool", "prometheus-alertmanager"), f"--alertmanager.url=http://{address}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
