"""Faust's own command on the worker's app."""

import json
import subprocess
import sys
from pathlib import Path

from helpers.patience import PATIENCE_S
from monitor.decoding.input_topics import INPUTS


def faust(*arguments: str) -> tuple[int, str]:
    command = [str(Path(sys.executable).with_name("faust")), "-A", "streams.worker.app", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.returncode, done.stdout + done.stderr


def test_faust_lists_an_agent_for_each_input_topic() -> None:
    status, said = faust("--json", "agents")
    assert status == 0, said
    listed = {agent["name"]: (agent["topic"], agent["help"]) for agent in json.loads(said)}
    assert {name: topic for name, (topic, _) in listed.items()} == {f"@{topic}": topic for topic in INPUTS}
    assert all(text.endswith(".") for _, text in listed.values())


def test_faust_does_not_start_a_worker_that_would_read_nothing() -> None:
    status, said = faust("worker", "--without-web")
    assert status != 0
    assert "start a worker with `callwarden worker`" in said
