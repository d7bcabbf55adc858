"""The peers that are installed run beside the worker; each other one is skipped by its name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.live_contenders import PEER_RECORDS, Sizes
from bench.live_peers import installed_peers
from bench.peers import catalogue
from bench.peers.catalogue import PEERS, MissingPeerError, _PythonPackage
from bench.process import Program
from streams.dev import kafka_jars

ROOT = Path(__file__).parents[2]
FAUST = ["Faust, tumbling windows", "Faust, hopping windows"]


def test_each_peer_has_a_number_of_records_to_read() -> None:
    assert [peer.name for peer in PEERS] == list(PEER_RECORDS) == list(Sizes.small().peers)
    assert all(Sizes.small().peers[name] < records for name, records in PEER_RECORDS.items())


def test_a_peer_that_is_not_installed_is_skipped_by_its_name_with_how_to_get_it(tmp_path: Path) -> None:
    found, skipped = installed_peers(PEER_RECORDS, 50_000, tmp_path)
    assert [who.name for who in found] == FAUST  # Callwarden itself needs Faust
    assert [line.partition(":")[0] for line in skipped] == ["Kafka Streams", "Quix Streams", "Bytewax"]
    assert all(line.endswith("`make peers` installs it") for line in skipped)


def test_no_peer_reads_more_records_than_there_are(tmp_path: Path) -> None:
    found, _ = installed_peers(PEER_RECORDS, 50_000, tmp_path)
    assert [who.records for who in found] == [50_000, 10_000]
    assert all(who.is_peer and not who.is_worker for who in found)


def test_an_installed_package_runs_in_its_own_environment(tmp_path: Path) -> None:
    package = _PythonPackage("quixstreams==1.2")
    home = tmp_path / "quixstreams-1.2"
    home.mkdir()
    with pytest.raises(MissingPeerError, match=r"quixstreams==1\.2 is not in .*; `make peers` installs it"):
        package.runner(tmp_path)
    (home / ".installed").touch()
    assert Program(ROOT, package.runner(tmp_path)).command == [str(home / "bin" / "python"), "-P", "-m"]


def test_a_failed_installation_is_reported_and_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "quixstreams-1.2" / "bin" / "python"

    def create(home: Path, **_: object) -> None:
        python.parent.mkdir(parents=True)
        python.write_text("#!/bin/sh\necho 'Collecting' >&2\necho 'ERROR: no such package' >&2\nexit 1\n")
        python.chmod(0o755)

    monkeypatch.setattr(catalogue.venv, "create", create)
    package = _PythonPackage("quixstreams==1.2")
    with pytest.raises(MissingPeerError, match=r"could not install quixstreams==1\.2: ERROR: no such package"):
        package.install(tmp_path)
    with pytest.raises(MissingPeerError):
        package.runner(tmp_path)


def test_java_that_was_compiled_before_its_source_changed_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_jars, "java", lambda: "/java")
    source = tmp_path / "ShortCalls.java"
    monkeypatch.setattr(catalogue, "_JAVA_SOURCE", source)
    source.write_text("class ShortCalls {}")
    classes = catalogue._classes(tmp_path)
    classes.mkdir()
    (classes / "ShortCalls.class").touch()
    command = catalogue._java_runner(tmp_path)
    assert command[0] == "/java"
    assert command[-1].endswith(f":{classes}")
    source.write_text("final class ShortCalls {}")
    with pytest.raises(MissingPeerError, match="`make peers` installs it"):
        catalogue._java_runner(tmp_path)


def test_installing_names_what_could_not_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(_: Path) -> None:
        raise MissingPeerError("there is no `javac`")

    *_, faust = PEERS
    java = catalogue.Peer("Kafka Streams", "", (), absent, lambda _: ())
    monkeypatch.setattr(catalogue, "PEERS", (java, faust))
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    assert catalogue.main() == 1
    printed = capsys.readouterr()
    assert printed.out == "Faust, hopping windows: installed\n"
    assert printed.err == "Kafka Streams: there is no `javac`\n"


def test_all_peers_evaluate_the_same_rule() -> None:
    """Java repeats the numbers that `rule.py` has for the others."""
    script = "from bench.peers import rule; import json; print(json.dumps(" + (
        "[rule.WINDOW_S, rule.STEP_S, rule.SHORT_MS, rule.RATIO, rule.LEAST]))"
    )
    needed = ("BENCH_APP", "CALLWARDEN_BOOTSTRAP_SERVERS", "BENCH_FOLDER", "CALLWARDEN_INPUT_PREFIX")
    environment = {**os.environ, **dict.fromkeys(needed, "x"), "CALLWARDEN_PARTITIONS": "1"}
    environment["PYTHONPATH"] = str(ROOT / "tests")
    printed = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True).stdout
    window_s, step_s, short_ms, ratio, least = json.loads(printed)
    java = (ROOT / "tests" / "bench" / "peers" / "ShortCalls.java").read_text("utf-8")
    for line in (
        f"SHORT_MS = {short_ms:_};",
        f"RATIO = {ratio};",
        f"LEAST = {least};",
        f"Duration.ofHours({window_s // 3600})",
        f"Duration.ofMinutes({step_s // 60})",
    ):
        assert line in java
