"""Billing and ledger across a rescale: restarted with other prefixes on the same databases."""

import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from worker_processes import MAIN, wait_for

from helpers.patience import PATIENCE_S
from streams.dev.kafka_node import free_ports
from streams.runtime.child_process import ChildProcess

_COMMANDS = (("billing",), ("ledger", "run"))
_LAG = re.compile(r"^callwarden_consumer_lag_records\{.*\} (.+)$", re.MULTILINE)
_TOKEN = "a-token-of-the-tests"


class Consumers:
    """`callwarden billing` and `callwarden ledger run`, with databases in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(len(_COMMANDS))
        self.settings = {
            "CALLWARDEN_BILLING_DATABASE": f"sqlite:///{folder / 'billing.db'}",
            "CALLWARDEN_LEDGER_DATABASE": f"sqlite:///{folder / 'ledger.db'}",
        }

    @contextmanager
    def following(self, environment: Mapping[str, str]) -> Iterator[None]:
        """Follow the topics of that environment; on exit, wait until every record is handled."""
        variables = {**os.environ, **environment, **self.settings, "CALLWARDEN_BILLING_TOKEN": _TOKEN}
        children = []
        try:
            for command, port in zip(_COMMANDS, self._ports, strict=True):
                with (self._folder / f"{command[0]}.log").open("ab") as output:
                    arguments = [sys.executable, "-c", MAIN, *command, "--port", str(port)]
                    children.append(ChildProcess(arguments, output, variables))
            self.catch_up()
            yield
            self.catch_up()
            assert [child.stop(PATIENCE_S) for child in children] == [0, 0]
        finally:
            for child in children:
                child.kill()

    def catch_up(self) -> None:
        """Wait until both are ready and have no lag, as `/readyz` and `/metrics` report."""
        for port in self._ports:
            wait_for(partial(self._is_at_end, port), f"port {port} says that it is at the end")

    def holds(self, tenants: Iterable[str]) -> dict[str, set[str]]:
        """The ids of the holds that billing reports for each held tenant."""
        found = {}
        for tenant in tenants:
            answer = json.loads(self._page(self._ports[0], f"/v1/refunds/{tenant}"))
            assert answer["refundable"] is answer["cancellable"] is (not answer["holds"])
            if answer["holds"]:
                found[tenant] = {hold["id"] for hold in answer["holds"]}
        return found

    def _is_at_end(self, port: int) -> bool:
        try:
            self._page(port, "/readyz")
            lags = _LAG.findall(self._page(port, "/metrics"))
        except OSError:
            return False
        return bool(lags) and not any(map(float, lags))

    @staticmethod
    def _page(port: int, path: str) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {_TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())
