"""A consumer whose database is away when it starts serves its pages meanwhile, and ends in order on TERM."""

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from helpers.patience import PATIENCE_S
from helpers.thorough import thorough
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

COMMANDS = {"billing": ["billing"], "console": ["console", "run"], "ledger": ["ledger", "run"], "notify": ["notify"]}
MAIN = "from streams.cli.app import main; main()"
WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.mark.parametrize("name", thorough([*COMMANDS], 1))
def test_a_consumer_without_its_database_is_healthy_and_ends_on_term(name: str, tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # never listens: each connection is refused
        away = f"127.0.0.1:{nobody.getsockname()[1]}"
        (port,) = free_ports(1)
        environment = {
            **os.environ,
            "CALLWARDEN_BOOTSTRAP_SERVERS": away,
            "CALLWARDEN_BILLING_AUTH": "none",
            "CALLWARDEN_NOTIFY_WEBHOOK_URL": f"http://{away}/",
            "CALLWARDEN_NOTIFY_WEBHOOK_SECRET": "for the test",
            f"CALLWARDEN_{name.upper()}_DATABASE": f"postgresql://nobody:nothing@{away}/none",
            f"CALLWARDEN_{name.upper()}_PORT": str(port),
        }
        with (tmp_path / "log").open("wb") as log:
            child = ChildProcess([sys.executable, "-c", MAIN, *COMMANDS[name]], log, environment)
        try:
            assert answer(child, port, "/healthz") == 200
            assert answer(child, port, "/readyz") == 503
            assert child.stop(PATIENCE_S) == 0
        finally:
            child.kill()
        said = (tmp_path / "log").read_text("utf-8")
        assert "Traceback" not in said


def answer(child: ChildProcess, port: int, path: str) -> int:
    """The status of a page, as soon as the process serves it."""
    until_s = time.monotonic() + PATIENCE_S
    while child.running and time.monotonic() < until_s:
        try:
            with WITHOUT_PROXY.open(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_S) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            time.sleep(0.1)
    return 0
