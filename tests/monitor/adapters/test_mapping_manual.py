"""The examples of the manual are mappings that work on the files next to them."""

import io
import re
from pathlib import Path

from adapter_rows import adapter, rows

from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.mapping.read import read_mapping
from monitor.adapters.mapping.spec import Events, Mapping
from monitor.adapters.values.pseudonym import PUBLIC_KEY
from monitor.adapters.versioned import VersionedAdapter
from schemas.inputs import Cdr

MANUAL = (Path(__file__).parents[3] / "docs" / "reference" / "mapping.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def test_the_csv_example_reads_the_file_beside_it() -> None:
    content = blocks("csv")[0]
    first, second = (row.record for row in rows(blocks("yaml")[0], content.encode("gb18030")))
    assert first is not None
    assert second is not None
    assert (first.call_id, first.caller, first.callee) == ("L1-1001", "+8675586013388", "+8613800138000")
    assert first.end_ms - first.start_ms == 20_000
    assert first.answer_ms - first.start_ms == 8_000
    assert (second.outcome, second.answer_ms) == ("no_answer", None)


def test_the_json_example_reads_the_document_beside_it() -> None:
    content = blocks("json")[0]
    (row,) = rows(blocks("yaml")[1], content)
    assert row.reason is None
    assert row.record.category == "harassment"
    assert row.record.tenant_id == "acme"
    assert row.record.caller == "+8675586013388"
    assert row.record.occurred_ms == 1_793_583_000_000
    assert row.record.updated_ms == row.record.reported_ms


def test_the_example_with_lists_and_headers_reads_the_record_beside_it() -> None:
    (row,) = rows(blocks("yaml")[2], blocks("json")[1])
    assert row.reason is None
    assert (row.record.caller, row.record.callee) == ("+8675586013388", "+8613800138000")
    assert (row.record.outcome, row.record.answer_ms) == ("carrier_blocked", None)
    assert (row.record.start_ms, row.record.end_ms) == (1_793_583_000_123, 1_793_583_013_123)


def test_the_example_with_events_reads_the_log_beside_it() -> None:
    (mapping, content) = (blocks("yaml")[3], blocks("csv")[1])
    reader = AssembledAdapter(*with_events(mapping), PUBLIC_KEY)
    first, second = (row.record for row in reader.rows(io.BytesIO(content.encode())))
    assert isinstance(first, Cdr)
    assert isinstance(second, Cdr)
    assert (first.call_id, first.outcome, first.end_ms - first.start_ms) == ("s2", "busy", 8_000)
    assert (second.call_id, second.tenant_id, second.outcome) == ("s1", "acme", "answered")
    assert (second.end_ms - (second.answer_ms or 0), second.callee) == (20_000, "+8613800138000")


def with_events(text: str) -> tuple[Mapping, Events]:
    mapping = read_mapping(text, "steps.yaml")
    assert mapping.events is not None
    return mapping, mapping.events


def test_the_example_with_versions_reads_the_records_beside_it() -> None:
    found = list(versioned(blocks("yaml")[4]).rows(io.BytesIO(blocks("json")[2].encode())))
    assert [row.record.consent_id for row in found if isinstance(row.record, Cdr)] == ["k-7"]
    assert [(row.reason or "").partition(":")[0] for row in found] == ["superseded", "", "superseded_late"]


def versioned(text: str) -> VersionedAdapter:
    mapping = read_mapping(text, "corrected.yaml")
    assert mapping.versions is not None
    return VersionedAdapter(mapping, mapping.versions, PUBLIC_KEY)


def test_the_manual_names_every_key() -> None:
    from monitor.adapters.mapping import read, read_events
    from monitor.adapters.mapping import read_field as readvalue
    from monitor.adapters.mapping.outcomes import TABLES
    from monitor.adapters.mapping.read_condition import CONDITION_KEYS
    from monitor.adapters.values.durations import UNITS
    from monitor.adapters.values.times import EPOCHS

    of_events = (*read_events.EVENT_KEYS, *read_events._KIND_KEYS, *read_events.ROLES)
    for key in (*read._KEYS, *readvalue._KEYS, *CONDITION_KEYS, *UNITS, *EPOCHS, *TABLES, *of_events):
        assert re.search(rf"`[^`]*\b{key}\b[^`]*`", MANUAL), key


def test_the_examples_are_all_of_the_mappings() -> None:
    assert [adapter(text).mapping.record for text in blocks("yaml")] == ["cdr", "complaint", "cdr", "cdr", "cdr"]
