"""A missing requirement of a Kafka node is reported exactly when it is missing."""

from pathlib import Path

import pytest

from streams.dev import kafka_jars as kafkajars


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return tmp_path / "bin"


def test_no_java_is_not_told_as_some_other_fault(tools: Path) -> None:
    with pytest.raises(kafkajars.MissingJars, match=r"no `java`.*Java 17 or newer.*openjdk-17-jre-headless"):
        kafkajars.java()


def test_an_old_java_is_not_left_to_fail_inside_kafka(tools: Path) -> None:
    script(tools / "java", "echo 'openjdk version \"11.0.2\" 2019' >&2")
    with pytest.raises(kafkajars.MissingJars, match=r"java is openjdk version .11\.0\.2.*Java 17 or newer"):
        kafkajars.java()


def test_java_home_does_not_come_after_path(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tools / "java", "echo 'openjdk version \"17.0.2\"' >&2")
    assert kafkajars.java() == str(tools / "java")
    home = tools.parent / "home"
    script(home / "bin" / "java", "echo 'openjdk version \"21.0.2\"' >&2")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert kafkajars.java() == str(home / "bin" / "java")


def test_no_maven_is_reported_only_when_the_jars_are_not_there(tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kafka"
    with pytest.raises(kafkajars.MissingJars, match=r"there is no `mvn` on PATH to fetch them; .* maven"):
        kafkajars.fetch(folder)
    (folder / kafkajars.VERSION).mkdir(parents=True)
    assert kafkajars.fetch(folder) == kafkajars.present(folder) == folder / kafkajars.VERSION


def test_a_fetch_that_failed_half_way_is_not_taken_for_the_jars(tools: Path, tmp_path: Path) -> None:
    script(tools / "mvn", 'for last; do :; done\n/bin/mkdir "${last#*=}"\necho "[ERROR] no such artifact"\nexit 1')
    with pytest.raises(kafkajars.MissingJars, match=r"could not fetch Kafka .* no such artifact"):
        kafkajars.fetch(tmp_path / "kafka")
    assert kafkajars.present(tmp_path / "kafka") is None


def test_the_jars_are_not_fetched_into_a_folder_that_depends_on_where_maven_runs(
    tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tools / "mvn", 'for last; do :; done\ncd /\n/bin/mkdir "${last#*=}"\n: > "${last#*=}/kafka.jar"')
    monkeypatch.chdir(tmp_path)
    jars = kafkajars.fetch(Path("kafka"))
    assert [path.name for path in jars.iterdir()] == ["kafka.jar"]
    assert [path.name for path in Path("kafka").iterdir()] == [kafkajars.VERSION]
