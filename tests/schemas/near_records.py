"""Records that are valid, or nearly so: examples with a few fields changed, removed or added."""

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.inputs import END_MS, MIN_MS
from schemas.json_schema import INPUTS, example

SAMPLES: dict[str, dict[str, Any]] = {name: example(name) for name in INPUTS}
FIELDS = sorted({field.name for struct in INPUTS.values() for field in msgspec.structs.fields(struct)})

# Values on both sides of every limit, without whole floats (1.0): there schema and reader differ, as documented.
EDGES: list[Any] = [
    *(None, "", "x", True, False, 0, 1, -1, 0.5, -1e300, 10**30, [], {}, ["x"], [""], [None], [1], {"a": 1}),
    *(MIN_MS - 1, MIN_MS, MIN_MS + 1, END_MS - 1, END_MS, END_MS + 1, str(MIN_MS)),
    *("x" * 64, "x" * 65, "x" * 128, "x" * 129, "x" * 4096, "x" * 4097, ["x" * 4096], ["x" * 4097]),
    *("\U0001f4de" * 64, "\U0001f4de" * 65, "\U0001f4de" * 128, "\U0001f4de" * 129, "\x00", "a\nb"),
    *("answered", "busy", "Answered", "outbound", "caller", "human", "fraud", "verified", "confirmed", "uphold"),
    *("undeclared_business", "no_consent", "cdr", "tenant", "alert"),
    *(99, 100, 699, 700, 127, 128, "603", "A", "D"),
]


@st.composite
def near_records(draw: st.DrawFn) -> dict[str, Any]:
    """An example of one of the six input records with up to three changes."""
    record = dict(SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))])
    own = st.sampled_from(["type", *sorted(record)])
    for _ in range(draw(st.integers(0, 3))):
        field = draw(st.one_of(own, st.sampled_from(FIELDS), st.just("a_field_of_tomorrow")))
        if draw(st.booleans()) and draw(st.booleans()):
            record.pop(field, None)
        else:
            record[field] = draw(st.one_of(st.sampled_from(EDGES), st.text(max_size=8), st.integers()))
    items = list(record.items())
    if draw(st.booleans()):
        items.reverse()
    return dict(items)


def raw(record: Any) -> bytes:
    """``record`` as a line of JSON."""
    return json.dumps(record, ensure_ascii=False).encode()
