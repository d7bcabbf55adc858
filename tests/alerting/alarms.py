"""Our alerts on a real Prometheus, accelerated: all durations are shortened by the same factor."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from alerting.programs import Prometheus, prometheus

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "callwarden.rules.yml"
FASTER = 120
"""An hour becomes half a minute."""

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"\b(\d+)([smhd])\b")
_BOUND_S = re.compile(r"(_seconds\)* > )(\d+)\b")  # thresholds in seconds are times as well


def configuration(
    folder: Path, scraped: Mapping[str, Mapping[str, Any]], alertmanagers: Sequence[str] = (), faster: int = 1
) -> Path:
    """Our configuration with short intervals: each job of ``scraped`` finds its targets there, the other jobs are left
    out.

    Rules and configuration are written to ``folder``.
    """
    rules = YAML(typ="safe").load(RULES)
    if faster > 1:
        rules = hurried(rules, faster)
    (folder / RULES.name).write_text(json.dumps(rules, ensure_ascii=False), "utf-8")
    config = YAML(typ="safe").load(FOLDER / "prometheus.yml")
    # A page that takes longer counts as missing; rules evaluate the last scrape.
    config["global"] = {"scrape_interval": "2s", "evaluation_interval": "500ms"}
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = list(alertmanagers)
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    assert scraped.keys() <= jobs.keys()
    ours = ("dns_sd_configs", "static_configs")
    config["scrape_configs"] = [
        {**{key: value for key, value in jobs[name].items() if key not in ours}, **found}
        for name, found in scraped.items()
    ]
    path = folder / "prometheus.yml"
    path.write_text(json.dumps(config), "utf-8")
    return path


def hurried(rules: dict[str, Any], faster: int) -> dict[str, Any]:
    """The alerting rules with all durations shortened by that factor, and nothing else changed."""

    def shorter(found: re.Match[str]) -> str:
        return f"{int(found[1]) * _UNITS_MS[found[2]] // faster}ms"

    def sooner(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / faster:g}"

    def of(rule: dict[str, Any]) -> dict[str, Any]:
        timed = {"for": _DURATION.sub(shorter, rule["for"])} if "for" in rule else {}
        return {**rule, "expr": _BOUND_S.sub(sooner, _DURATION.sub(shorter, rule["expr"])), **timed}

    return {"groups": [{**group, "rules": [of(rule) for rule in group["rules"]]} for group in rules["groups"]]}


class Alarms:
    """The alerts of a Prometheus that scrapes programs of the test."""

    def __init__(self, server: Prometheus, folder: Path) -> None:
        self.server, self._folder = server, folder

    def look_at(self, job: str, targets: Sequence[str]) -> None:
        """Scrape these targets from now on, HOST:PORT each."""
        found = self._folder / f"{job}.new"
        found.write_text(json.dumps([{"targets": list(targets)}]), "utf-8")
        found.rename(self._folder / f"{job}.json")

    def firing(self, name: str) -> list[dict[str, str]]:
        """The labels of the alert's firing instances. Raises AssertionError when it cannot be evaluated."""
        [rule] = [rule for rule in self.server.rules() if rule["name"] == name]
        assert rule["health"] in ("ok", "unknown"), rule
        return [alert["labels"] for alert in rule["alerts"] if alert["state"] == "firing"]

    def why(self, name: str) -> str:
        """The current result of an alert's expression and the state of its targets, for failure messages."""
        [rule] = [rule for rule in self.server.rules() if rule["name"] == name]
        up = self.server.query("avg_over_time(up[1m])")
        return f"{rule['state']}, {rule['query']} is {self.server.query(rule['query'])}; up in the last minute: {up}"

    def value(self, expr: str) -> float | None:
        """The single value of a query; None if it has no result."""
        found = self.server.query(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


@contextmanager
def hurried_alarms(folder: Path, *jobs: str) -> Iterator[Alarms]:
    """A Prometheus with our accelerated rules that scrapes the given targets of these jobs."""
    folder.mkdir()
    scraped = {job: {"file_sd_configs": [{"files": [str(folder / f"{job}.json")]}]} for job in jobs}
    with prometheus(configuration(folder, scraped, faster=FASTER), folder) as server:
        yield Alarms(server, folder)
