"""Form bodies, and documents in a field of a form."""

import base64
import random
import tracemalloc
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes, urlencode

import pytest
from adapter_rows import SMALL, adapter, rows
from mapped_calls import JSON, T, ids

from monitor.adapters.mapping.cells import url_decoded
from monitor.adapters.rows.form_rows import unwrapped
from monitor.adapters.values.percent import percent_decoded

FORM = SMALL.replace("format: csv", "format: form")


def test_a_form_body_is_a_row() -> None:
    body = urlencode({"id": "1", "to": "+86 138&00=", "end": T, "spare": ""})
    (row,) = rows(FORM, f"{body}\r\n\n")
    assert (row.record.call_id, row.record.callee) == ("1", "+86 138&00=")


@pytest.mark.parametrize(
    ("body", "reported"),
    [
        ("id=1&to=2&end=1700000000&id=3", "malformed_row: expected id once in the form, got it twice"),
        ("id=1&to=%ff&end=1700000000", "not_text: "),
        ("id=ö", "not_text: "),
        ("no form", "malformed_row: expected a form, name=value&name=value"),
        ("a=1&" * 2_000 + "b=1", "malformed_row: expected a form"),
        ("to=2&end=1700000000", "missing_field: call_id: column id is empty"),
    ],
)
def test_a_body_that_is_no_form_is_rejected_alone(body: str, reported: str) -> None:
    found = rows(FORM, f"{body}\nid=1&to=2&end={T}\n")
    assert sorted(ids(found), key=len)[0] == "1"
    (reason,) = [str(row.reason) for row in found if row.reason]
    assert reason.startswith(reported)
    assert len(reason) < 300


@pytest.mark.parametrize("how", ["bare", "plain", "url", "base64", "base64 in a form"])
def test_a_document_may_stand_in_a_field_of_a_form(how: str) -> None:
    mapping = JSON.replace("json\n", "json\nform_field: cdr\n")
    document = f'{{"id": "a+b%2B", "to": "2", "end": {T}}}'
    encoded = base64.b64encode(document.encode()).decode()
    content = {
        "bare": document,
        "plain": f"cdr={document}",
        "url": f"cdr={quote(document, safe='')}",
        "base64": f"cdr={encoded}",
        "base64 in a form": f"cdr={quote(encoded, safe='')}",
    }[how]
    assert ids(rows(mapping, f"{content}\n{content}\n")) == ["a+b%2B", "a+b%2B"]
    assert ids(adapter(mapping).read(content.encode())) == ["a+b%2B"]


def test_a_field_that_holds_no_document_is_a_rejected_row() -> None:
    mapping = JSON.replace("json\n", "json\nform_field: cdr\n")
    (row,) = adapter(mapping).read(b"cdr=!!")
    assert str(row.reason).startswith("malformed_json")


def test_percent_signs_are_decoded_like_the_library_does() -> None:
    rng = random.Random(7)
    pieces = ["a", "%", "%41", "%C3%A9", "%FF", "%e4", "%0", "%zz", "\u00e9", " ", "%25", "+"]
    for _ in range(2_000):
        text = "".join(rng.choices(pieces, k=rng.randint(0, 10))).encode()
        assert percent_decoded(text) == unquote_to_bytes(text), text


@pytest.mark.parametrize("read", [url_decoded, lambda text: unwrapped(f"cdr={text}".encode(), "cdr")])
def test_a_text_of_percent_signs_is_not_taken_apart(read: Callable[[str], object]) -> None:
    text = "%" * 1_000_000
    tracemalloc.start()
    try:
        read(text)
        assert tracemalloc.get_traced_memory()[1] < 10 * len(text)
    finally:
        tracemalloc.stop()
