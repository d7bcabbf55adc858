"""Our alerts on a real Prometheus, in a hurry: what is told in durations is shorter, all of it by the same factor."""

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
"""An hour is half a minute."""

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"\b(\d+)([smhd])\b")
_BOUND_S = re.compile(r"(_seconds\)* > )(\d+)\b")  # what is compared is a time as well


def configuration(
    folder: Path, scraped: Mapping[str, Mapping[str, Any]], alertmanagers: Sequence[str] = (), faster: int = 1
) -> Path:
    """Ours, without the patience: each job that is ``scraped`` finds its targets as that says, the others are left out.

    Rules and configuration are written to ``folder``.
    """
    rules = YAML(typ="safe").load(RULES)
    if faster > 1:
        rules = hurried(rules, faster)
    (folder / RULES.name).write_text(json.dumps(rules, ensure_ascii=False), "utf-8")
    config = YAML(typ="safe").load(FOLDER / "prometheus.yml")
    # A page may take so long, or it counts as not there; rules ask of what was scraped last.
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
    """Alerting rules whose durations are all shorter by that factor, and nothing else is another."""

    def shorter(found: re.Match[str]) -> str:
        return f"{int(found[1]) * _UNITS_MS[found[2]] // faster}ms"

    def sooner(found: re.Match[str]) -> str:
        return f"{found[1]}{int(found[2]) / faster:g}"

    def of(rule: dict[str, Any]) -> dict[str, Any]:
        timed = {"for": _DURATION.sub(shorter, rule["for"])} if "for" in rule else {}
        return {**rule, "expr": _BOUND_S.sub(sooner, _DURATION.sub(shorter, rule["expr"])), **timed}

    return {"groups": [{**group, "rules": [of(rule) for rule in group["rules"]]} for group in rules["groups"]]}


class Alarms:
    """The alerts of a Prometheus that looks at programs of the test."""

    def __init__(self, server: Prometheus, folder: Path) -> None:
        self.server, self._folder = server, folder

    def look_at(self, job: str, targets: Sequence[str]) -> None:
        """Scrape these from now on, HOST:PORT each."""
        found = self._folder / f"{job}.new"
        found.write_text(json.dumps([{"targets": list(targets)}]), "utf-8")
        found.rename(self._folder / f"{job}.json")

    def firing(self, name: str) -> list[dict[str, str]]:
        """The labels with which an alert fires now. AssertionError when it cannot be evaluated."""
        [rule] = [rule for rule in self.server.rules() if rule["name"] == name]
        assert rule["health"] in ("ok", "unknown"), rule
        return [alert["labels"] for alert in rule["alerts"] if alert["state"] == "firing"]

    def why(self, name: str) -> str:
        """What an alert finds now, and which of its targets answer, for whoever wonders."""
        [rule] = [rule for rule in self.server.rules() if rule["name"] == name]
        up = self.server.query("avg_over_time(up[1m])")
        return f"{rule['state']}, {rule['query']} is {self.server.query(rule['query'])}; up in the last minute: {up}"

    def value(self, expr: str) -> float | None:
        """The one value of a query, None where it finds nothing."""
        found = self.server.query(expr)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None


@contextmanager
def hurried_alarms(folder: Path, *jobs: str) -> Iterator[Alarms]:
    """A Prometheus with our rules in a hurry, that scrapes the given ones of these jobs."""
    folder.mkdir()
    scraped = {job: {"file_sd_configs": [{"files": [str(folder / f"{job}.json")]}]} for job in jobs}
    with prometheus(configuration(folder, scraped, faster=FASTER), folder) as server:
        yield Alarms(server, folder)
