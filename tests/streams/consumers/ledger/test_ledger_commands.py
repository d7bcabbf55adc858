"""`callwarden ledger verify` and `export`: what they find, print and refuse."""

import asyncio
import json
from pathlib import Path

import pytest
from changed_ledger import OF_ONE_CHAIN, heads_now, held_topics, tamper
from typer.testing import CliRunner

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import REVIEWS, address, filled
from oracle.ledger import T0
from streams.cli.app import build
from streams.consumers.ledger import published_heads as heads
from streams.consumers.ledger import writer as keep
from streams.consumers.ledger.entries import EntryFields
from streams.consumers.ledger.published_heads import HeadReport
from streams.consumers.ledger.verify import topics as topicverify


@pytest.fixture(autouse=True)
def prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The topics of `held_topics`."""
    monkeypatch.setenv("CALLWARDEN_INPUT_PREFIX", "in.")
    monkeypatch.setenv("CALLWARDEN_OUTPUT_PREFIX", "out.")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> FakeTopics:
    """Topics that the commands find at the broker."""

    async def stop() -> None:
        pass

    topics = held_topics()
    monkeypatch.setattr(topics, "stop", stop, raising=False)
    monkeypatch.setattr("streams.kafka.cluster.KafkaCluster", lambda *_: topics)
    return topics


async def test_the_command_reports_entries_that_an_earlier_release_could_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(keep, "fields_of_review", lambda value: EntryFields(fault="of tomorrow"))
        (await filled(address(tmp_path), held_topics())).close()
    command = ["ledger", "verify", "--database", address(tmp_path)]
    done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), command)
    assert (done.exit_code, "12 of them could not be read when they were stored; this release can" in done.output) == (
        0,
        True,
    )


async def test_the_command_reports_its_findings(tmp_path: Path) -> None:
    database = await filled(address(tmp_path), held_topics())
    path = tmp_path / "heads.jsonl"
    heads.append(path, HeadReport("2026-03-02", T0, heads_now(database)))
    database.close()

    async def said(*more: str) -> tuple[int, str]:
        command = ["ledger", "verify", "--database", address(tmp_path), *more]
        done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), command)
        return done.exit_code, done.output

    status, text = await said("--heads", str(path))
    assert status == 0, text
    assert text.endswith(
        "verified: 30 entries. The ledger contains the published heads. Not checked: the topics (--with-topics).\n"
    )
    assert (await said())[1].endswith(
        "verified: 30 entries. Not checked: whether entries at the end are missing, or a chain was recreated "
        "(--heads FILE), the topics (--with-topics).\n"
    )
    status, text = await said("--json", "--heads", str(path))
    found = json.loads(text.splitlines()[-1])
    assert (status, found["ok"], found["faults"], found["entries"]) == (0, True, [], 30)
    assert (found["published_heads_checked"], found["topics_compared"]) == (True, None)
    assert sum(head["entries"] for head in found["heads"]) == 30
    tamper(tmp_path, f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN} AND number = 6")
    status, text = await said()
    assert (status, text.endswith("\n1 difference\n")) == (1, True), text
    status, text = await said("--json")
    found = json.loads(text.splitlines()[-1])
    assert (status, found["ok"], len(found["faults"])) == (1, False, 1)
    status, text = await said("--heads", str(path))
    assert status == 1
    assert "entry 6 is missing\n" in text
    assert text.endswith("\n2 differences\n")
    path.write_text("[]\n")
    assert (await said("--heads", str(path)))[0] == 2
    done = CliRunner().invoke(build("ledger"), ["ledger", "verify", "--database", f"sqlite:///{tmp_path / 'none.db'}"])
    assert done.exit_code == 2
    assert "none.db contains no ledger; expected the database that `callwarden ledger run` fills" in done.output
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("change", "printed"),
    [
        ("timestamp_ms = 'noon'", "number 3: the column timestamp_ms has the type text; expected integer"),
        ("timestamp_ms = 3.5", "number 3: the column timestamp_ms has the type real; expected integer"),
        ("\"offset\" = X'00'", "number 3: the column offset has the type blob; expected integer"),
        ("value = 12", "number 3: the column value has the type integer; expected blob or text"),
        ("hash = X'00'", "number 3: the column hash has the type blob; expected text"),
        ("number = 'x'", "number 'x': the column number has the type text; expected integer"),
    ],
)
async def test_a_value_of_another_type_is_named(tmp_path: Path, change: str, printed: str) -> None:
    (await filled(address(tmp_path), held_topics())).close()
    tamper(tmp_path, f"UPDATE ledger_entry SET {change} WHERE {OF_ONE_CHAIN} AND number = 3")
    command = ["ledger", "verify", "--database", address(tmp_path)]
    done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), command)
    assert done.exit_code == 1
    assert f"ledger_entry, topic 'out.enforcement', partition 1, {printed}" in done.output
    assert done.output.endswith("\n1 difference\n")


async def test_a_position_of_another_type_is_named(tmp_path: Path) -> None:
    (await filled(address(tmp_path), held_topics())).close()
    tamper(tmp_path, "UPDATE ledger_position SET last_offset = 'x' WHERE topic = 'in.reviews' AND partition = 0")
    command = ["ledger", "verify", "--json", "--database", address(tmp_path)]
    done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), command)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (done.exit_code, found["ok"], len(found["faults"])) == (1, False, 1)
    assert "last_offset has the type text" in found["faults"][0]


@pytest.mark.parametrize(
    ("cut", "printed"),
    [
        ("number > 4", "the topic has offsets 4 to 5 (2 records), the newest of"),
        ("number > 0", "the topic has offsets 0 to 5 (6 records), the newest of"),
    ],
)
def test_the_command_names_removed_entries_with_their_positions(
    tmp_path: Path, held: FakeTopics, monkeypatch: pytest.MonkeyPatch, cut: str, printed: str
) -> None:
    monkeypatch.setattr(topicverify, "_QUIET_S", 0.0)
    asyncio.run(filled(address(tmp_path), held)).close()
    position = f"DELETE FROM ledger_position WHERE {OF_ONE_CHAIN}"
    if cut != "number > 0":
        position = f"UPDATE ledger_position SET next = 4, last_offset = NULL WHERE {OF_ONE_CHAIN}"
    tamper(tmp_path, f"DELETE FROM ledger_entry WHERE {OF_ONE_CHAIN} AND {cut}", position)
    command = ["ledger", "verify", "--with-topics", "--database", address(tmp_path)]
    done = CliRunner().invoke(build("ledger"), command)
    assert (done.exit_code, f"out.enforcement-1: {printed}" in done.output) == (1, True), done.output
    assert "All" not in done.output


def test_the_command_says_how_much_the_topics_still_hold(tmp_path: Path, held: FakeTopics) -> None:
    asyncio.run(filled(address(tmp_path), held)).close()

    def said() -> str:
        command = ["ledger", "verify", "--with-topics", "--database", address(tmp_path)]
        done = CliRunner().invoke(build("ledger"), command)
        assert done.exit_code == 0, done.output
        return done.output.splitlines()[-1]

    cut = "Not checked: whether entries at the end are missing, or a chain was recreated (--heads FILE)."
    assert said() == f"verified: 30 entries. The ledger contains all 30 records of the topics. {cut}"
    held.delete_before(REVIEWS, 0, 2)
    assert said() == (
        "verified: 30 entries. The ledger contains all 28 records of the topics. "
        f"2 entries older than the topics were not compared. {cut}"
    )


async def test_an_export_is_not_written_over(tmp_path: Path) -> None:
    (await filled(address(tmp_path), held_topics())).close()
    out = tmp_path / "ledger.jsonl"

    def export(to: Path) -> tuple[int, str]:
        command = ["ledger", "export", "--database", address(tmp_path), "--out", str(to)]
        done = CliRunner().invoke(build("ledger"), command)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    assert export(out) == (0, "")
    assert out.read_bytes().count(b"\n") == 30
    out.write_bytes(b"of last month")
    assert export(out) == (2, f"{out}: expected a new file; it already exists\n")
    assert out.read_bytes() == b"of last month"
    assert export(tmp_path) == (2, f"{tmp_path}: expected the name of a new file, got a folder\n")
    nowhere = tmp_path / "none" / "ledger.jsonl"
    assert export(nowhere) == (2, f"{nowhere.parent}: expected an existing folder\n")
    assert export(Path("/dev/full")) == (1, "/dev/full: no space left on device\n")
    of_sqlite = {"ledger.db-wal", "ledger.db-shm"}
    assert {path.name for path in tmp_path.iterdir()} - of_sqlite == {"ledger.jsonl", "ledger.db"}


async def test_an_export_to_a_dash_goes_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (await filled(address(tmp_path), held_topics())).close()
    monkeypatch.chdir(tmp_path)

    def export(*options: str) -> tuple[int, str, str]:
        done = CliRunner().invoke(build("ledger"), ["ledger", "export", "--database", address(tmp_path), *options])
        return done.exit_code, done.stdout, done.stderr

    assert export("--out", "-") == export()
    status, lines, said = export("--out", "-")
    assert (status, lines.count("\n"), said) == (0, 30, "")
    assert not Path("-").exists()


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("postgresql://u:topsecret@h:none/x", "not the address of a database"),
        ("mysql://u:topsecret@h/x", "not the address of a database"),
    ],
)
def test_an_address_is_refused_without_showing_its_passwords(of: str, said: str) -> None:
    done = CliRunner().invoke(build("ledger"), ["ledger", "verify", "--database", of])
    assert (done.exit_code, said in done.output) == (2, True), done.output
    assert isinstance(done.exception, SystemExit)
    assert "topsecret" not in done.output
