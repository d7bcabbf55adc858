"""The committed schemas equal the generated ones, are valid, and agree with the reader."""

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from near_records import SAMPLES, near_records, raw

from helpers.thorough import examples
from schemas.codec import DECODE_ERRORS, decode, encode
from schemas.examples import EXAMPLES
from schemas.export import COMMITTED, differences, documents, export
from schemas.json_schema import INPUTS, RECORDS, schema

VALIDATORS = {name: Draft202012Validator(schema(name)) for name in RECORDS}


def decodes(record: Any) -> bool:
    try:
        decode(raw(record))
    except DECODE_ERRORS:
        return False
    return True


def fits_some_schema(record: dict[str, Any]) -> bool:
    return any(VALIDATORS[name].is_valid(record) for name in INPUTS)


def test_the_committed_documents_are_the_generated_ones() -> None:
    assert differences(COMMITTED) == [], "run: make schemas"


@pytest.mark.parametrize("name", RECORDS)
def test_a_schema_is_itself_valid(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", RECORDS)
def test_every_schema_takes_its_examples(name: str) -> None:
    VALIDATORS[name].validate(json.loads(encode(EXAMPLES[name])))
    for given_example in schema(name)["examples"]:
        VALIDATORS[name].validate(given_example)


@pytest.mark.parametrize("name", INPUTS)
def test_no_schema_takes_another_record(name: str) -> None:
    assert [other for other in INPUTS if VALIDATORS[other].is_valid(SAMPLES[name])] == [name]


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_without_a_required_field_is_invalid(name: str) -> None:
    written = json.loads(encode(EXAMPLES[name]))
    required = schema(name)["required"]
    assert required
    for field in required:
        assert not VALIDATORS[name].is_valid({k: v for k, v in written.items() if k != field}), field


@pytest.mark.parametrize("name", [n for n in RECORDS if n not in INPUTS and n != "rejected"])
def test_a_consumer_may_rely_on_every_field_of_an_output(name: str) -> None:
    assert set(schema(name)["required"]) == set(json.loads(encode(EXAMPLES[name])))
    for part in schema(name).get("$defs", {}).values():
        assert set(part.get("required", ())) == set(part.get("properties", ()))


@examples(near_records(), fast=30, most=1_200)
def test_schema_and_reader_agree_on_every_single_field(record: dict[str, Any]) -> None:
    assert fits_some_schema(record) == decodes(record)


def test_where_schema_and_reader_differ_the_schema_says_so() -> None:
    call = SAMPLES["cdr"]
    for stricter in (
        call | {"end_ms": float(call["end_ms"])},
        call | {"deep": json.loads("[" * 200 + "]" * 200)},
    ):
        assert VALIDATORS["cdr"].is_valid(stricter)
    assert not decodes(call | {"end_ms": float(call["end_ms"])})
    for name in INPUTS:
        text = schema(name)["description"]
        for word in (
            "1.0",
            "UTF-8",
            "surrogate",
            "nesting deeper than 128",
            "several fields together",
            "Unknown fields",
        ):
            assert word in text, (name, word)
    assert "start_ms <= ring_ms <= answer_ms <= end_ms" in schema("cdr")["description"]


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_is_described_and_times_say_their_unit(name: str) -> None:
    whole = schema(name)
    for part in (whole, *whole.get("$defs", {}).values()):
        assert part["description"], part["title"]
        items = {str(number): body for number, body in enumerate(part.get("prefixItems", ()))}  # of an array
        fields = part.get("properties") or items
        for field, body in fields.items():
            if set(body) == {"$ref"} or field == "type":
                continue  # described at its definition; the tag is its own description
            assert body["description"].endswith((".", ")")), (part["title"], field)
            if field.endswith("_ms"):
                assert "epoch ms UTC" in body["description"] or "in ms" in body["description"], (part["title"], field)


@pytest.mark.parametrize("name", RECORDS)
def test_a_schema_has_every_field_of_its_record_in_order(name: str) -> None:
    fields = [field.encode_name for field in msgspec.structs.fields(RECORDS[name])]
    assert [field for field in schema(name)["properties"] if field in fields] == fields


def test_export_writes_what_check_accepts_and_removes_what_no_record_has(tmp_path: Any) -> None:
    folder = tmp_path / "new" / "folder"
    written = export(folder)
    assert {path.relative_to(folder).as_posix() for path in written} == set(documents())
    assert differences(folder) == []
    (folder / "json" / "fax.schema.json").write_text("{}")
    (folder / "json" / "cdr.schema.json").write_text("{}")
    (folder / "asyncapi.json").unlink()
    found = "\n".join(differences(folder))
    assert "fax.schema.json: no record" in found
    assert "cdr.schema.json: differs" in found
    assert "asyncapi.json: missing" in found
    assert len(differences(folder)) == 3
    export(folder)
    assert differences(folder) == []
    assert not (folder / "json" / "fax.schema.json").exists()
