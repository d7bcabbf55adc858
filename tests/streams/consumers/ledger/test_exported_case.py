"""A case that the console exported is compared with the ledger: what was changed, added or left out is found."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import DECISIONS, REVIEWS, address, filled, put, topics
from oracle.ledger import event, pending, review
from schemas import codec
from schemas.review_signature import SIGNATURE_HEADER
from streams.cli.app import build
from streams.consumers.ledger.verify.exported_case import CaseFault, read_case
from streams.kafka.api import TP

SIGNATURE = b"li:c2lnbmVk"
Change = Callable[[dict[str, Any]], None]


def held_topics() -> FakeTopics:
    """Two cases of one partition: `e0` was upheld, `e1` has a review."""
    held = topics(1)
    put(held, 0, pending("e0"), pending("e1"), event("u0", supersedes="e0"))
    held.put(REVIEWS, 0, codec.encode(review("r0", "e0")), headers=((SIGNATURE_HEADER, SIGNATURE),))
    put(held, 0, review("r1", "e1"))
    return held


def exported(held: FakeTopics) -> dict[str, Any]:
    """The file of the case `e0` as the console writes it."""
    records: list[dict[str, Any]] = [
        {
            "topic": topic, "partition": 0, "offset": offset, "timestamp_ms": held.now_ms, "key": None,
            "value": base64.b64encode(held.logs[TP(topic, 0)][offset] or b"").decode(),
        }
        for topic, offset in ((DECISIONS, 0), (DECISIONS, 2), (REVIEWS, 0))
    ]  # fmt: skip
    records[2]["signature"] = base64.b64encode(SIGNATURE).decode()
    return {"format": "callwarden-case-1", "case_id": "e0", "events": [{"id": "e0"}, {"id": "u0"}], "records": records}


def nothing(document: dict[str, Any]) -> None:
    """Leave the file as it is."""


def changed(number: int, **values: Any) -> Change:
    def change(document: dict[str, Any]) -> None:
        document["records"][number] |= values

    return change


def removed(number: int) -> Change:
    def change(document: dict[str, Any]) -> None:
        del document["records"][number]

    return change


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (nothing, 0, "The ledger contains all 3 records of the exported case."),
        (changed(0, value="e30="), 1, "out.enforcement-0 offset 0: the value of the case's record differ"),
        (changed(0, key="eA==", timestamp_ms=7), 1, "offset 0: the time and key of the case's record differ"),
        (changed(2, signature=None), 1, "in.reviews-0 offset 0: the signature of the case's record differ"),
        (changed(2, signature="eA=="), 1, "in.reviews-0 offset 0: the signature of the case's record differ"),
        (changed(0, signature="eA=="), 1, "out.enforcement-0 offset 0: the signature of the case's record differ"),
        (changed(2, value="no base64!"), 1, "in.reviews-0 offset 0: the value of the case's record differ"),
        (changed(2, offset=1 << 62), 1, "the case has a record that the ledger does not have"),
        (changed(2, topic="elsewhere"), 1, "elsewhere-0 offset 0: the case has a record that the ledger does not have"),
        (removed(0), 1, "out.enforcement-0 offset 0: the case leaves out a record that concerns it"),
        (removed(1), 0, "all 2 records of the exported case, and 1 newer about it"),
    ],
)
async def test_each_record_is_found_in_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Change, status: int, said: str
) -> None:
    monkeypatch.setenv("CALLWARDEN_INPUT_PREFIX", "in.")
    monkeypatch.setenv("CALLWARDEN_OUTPUT_PREFIX", "out.")
    held = held_topics()
    (await filled(address(tmp_path), held)).close()
    document = exported(held)
    change(document)
    file = tmp_path / "case.json"
    file.write_text(json.dumps(document))
    command = ["ledger", "verify", "--database", address(tmp_path), "--case", str(file)]
    done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), command)
    assert (done.exit_code, said in " ".join(done.output.split())) == (status, True), done.output
    done = await asyncio.to_thread(CliRunner().invoke, build("ledger"), [*command, "--json"])
    found = json.loads(done.output.splitlines()[-1])
    assert (done.exit_code, found["ok"], found["case_compared"]["case_id"]) == (status, status == 0, "e0")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "callwarden-case-2", "case_id": "e0"}', "\udcff"])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "case.json"
    file.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CaseFault, match=r"case\.json: .*; expected a case that the console exported"):
        read_case(file)
    with pytest.raises(CaseFault, match="No such file"):
        read_case(tmp_path / "none.json")
    done = CliRunner().invoke(build("ledger"), ["ledger", "verify", "--case", str(file)])
    assert done.exit_code == 2
