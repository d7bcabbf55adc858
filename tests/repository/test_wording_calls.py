"""Every sentence that code takes from a wording table exists, and gets all of its values.

Most of these sentences are about errors, in places that tests reach one by one: a missing value would be an error in an
error.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Final, NamedTuple

from monitor.adapters.mapping_wording import MAPPING_WORDING
from monitor.partition.refusal_wording import REFUSAL_WORDING
from monitor.partition.waiting.wait_wording import WAIT_WORDING
from monitor.policy.diff_wording import DIFF_WORDING
from monitor.policy.file.fault_wording import FAULT_WORDING
from monitor.policy.note_wording import NOTE_WORDING
from monitor.text.bilingual import Bilingual
from monitor.text.state_wording import STATE_WORDING
from streams.wording.consumer_wording import CONSUMER_WORDING
from streams.wording.kafka_wording import KAFKA_WORDING
from streams.wording.topic_wording import TOPIC_WORDING
from streams.wording.worker_wording import WORKER_WORDING

ROOT: Final = Path(__file__).parents[2]
TABLES: Final[Mapping[str, Mapping[str, Bilingual]]] = {
    "fault_text": FAULT_WORDING,
    "note_text": NOTE_WORDING,
    "diff_text": DIFF_WORDING,
    "wait_text": WAIT_WORDING,
    "mapping_text": MAPPING_WORDING,
    "consumer_text": CONSUMER_WORDING,
    "consumer_sentence": CONSUMER_WORDING,
    "worker_text": WORKER_WORDING,
    "topic_text": TOPIC_WORDING,
    "kafka_text": KAFKA_WORDING,
    "state_text": STATE_WORDING,
}
# By folder: names that mean something else in other folders. Of methods, those of `Checker`.
OF_FOLDERS: Final[Mapping[str, Mapping[str, Mapping[str, Bilingual]]]] = {
    "monitor/partition": {"refusal_text": REFUSAL_WORDING},
    "streams/topics": {"refusal_text": REFUSAL_WORDING},
    "monitor/adapters/mapping": {"wrong": MAPPING_WORDING, "wrong_key": MAPPING_WORDING},
}


class Taken(NamedTuple):
    """A sentence as a call takes it; ``values`` None: they are in a mapping."""

    place: str
    table: Mapping[str, Bilingual]
    code: str
    values: frozenset[str] | None


def codes_in(node: ast.expr) -> list[str]:
    """The codes that an argument may be, if they are written there."""
    if isinstance(node, ast.IfExp):
        return [*codes_in(node.body), *codes_in(node.orelse)]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def taken() -> Iterator[Taken]:
    for path in sorted(each for top in ("monitor", "streams") for each in (ROOT / top).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tables = dict(TABLES)
        for folder, more in OF_FOLDERS.items():
            tables |= more if name.startswith(f"{folder}/") else {}
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if called not in tables:
                continue
            of_place = called in ("wrong", "wrong_key")
            names = [keyword.arg for keyword in node.keywords]
            values = None if None in names else frozenset(name for name in names if name is not None)
            for code in codes_in(node.args[1 if of_place else 0]):
                yield Taken(f"{name}:{node.lineno}", tables[called], code, values)


def test_every_sentence_exists_and_gets_its_values() -> None:
    calls = list(taken())
    assert [one.place for one in calls if one.code not in one.table] == []
    missing = {
        one.place: wanted - one.values
        for one in calls
        if one.values is not None
        and (wanted := {name for _, name, _, _ in Formatter().parse(one.table[one.code].en) if name}) - one.values
    }
    assert missing == {}
    assert len(calls) > 200, "how a sentence is taken has changed: this test no longer finds the calls"
