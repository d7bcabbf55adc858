"""Whichever column a mapping uses by mistake, no message repeats a telephone number from it."""

import json
import random

import pytest
from adapter_rows import SMALL, rows

from monitor.adapters import errors
from monitor.adapters.errors import MappingError, quoted_value
from monitor.text.masking import mask_text

NUMBER = "13812345678"
FORMS = (NUMBER, "+86 138-1234-5678", "138,1234,5678", "１３８１２３４５６７８", f"{NUMBER}\x1b[2J", f"x{NUMBER}" * 9)
FIELDS = (
    "{{column: {c}, time: epoch_s}}",
    "{{column: {c}, time: epoch_ms}}",
    "{{column: {c}, time: '%Y-%m-%d %H:%M:%S'}}",
    "{{column: {c}, table: {{A: answered}}}}",
    "{{column: {c}}}",
)


def said(mapping: str, content: str) -> list[str]:
    try:
        return [row.reason or "" for row in rows(mapping, content)]
    except MappingError as error:
        return [str(error)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "csv without a header"])
def test_no_reason_and_no_fault_repeats_a_number(form: str) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    reported = 0
    for _ in range(150):
        number, field = rng.choice(FORMS), rng.choice(FIELDS).format(c=rng.choice(("id", "to", "end", "of")))
        name = rng.choice(("start_ms", "end_ms", "outcome", "caller", "direction", "ring_ms", "answer_ms"))
        lines = [line for line in SMALL.splitlines() if not line.startswith(f"  {name}:")]
        mapping = "\n".join([*lines, f"  {name}: {field}"])
        cells = [number] * 4
        if form == "jsonl":
            mapping = mapping.replace("format: csv", "format: jsonl")
            line = rng.choice((dict(zip(("id", "to", "end", "of"), cells, strict=True)), number, {"end": [number]}))
            content = json.dumps(line, ensure_ascii=False)
        else:
            row = ";".join(cells).replace(",", "") if rng.random() < 0.3 else ",".join(f'"{cell}"' for cell in cells)
            content = row if form == "csv without a header" else f"id,to,end,of\n{row}"
        for reason in said(mapping, f"{content}\n{content}\n"):
            reported += bool(reason)
            plain = "".join(c for c in reason if c.isalnum())
            assert "1234567" not in plain, (mapping, content)
            assert "１２３４５" not in reason, (mapping, content)
    assert reported > 100


def test_what_is_masked_of_a_value_does_not_grow_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []

    def counting(text: str) -> str:
        looked_at.append(len(text))
        return mask_text(text)

    monkeypatch.setattr(errors, "mask_text", counting)
    shown = quoted_value("9" * 800_000)
    assert "9" not in shown
    assert sum(looked_at) <= 1_000
    assert "9999" not in quoted_value(" " * 50 + "9" * 800_000)
