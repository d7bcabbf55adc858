"""The extension copies strings as numpy does, and refuses columns that do not fit."""

import random
from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.calls import native_strings
from monitor.core.calls.string_column import StringColumn, concatenate

pytestmark = pytest.mark.skipif(not native_strings.built(), reason="the extension is not built")

TEXTS = ("", "a", "call-1", "12345678", "公司", "x" * 17, "\x00", "\x00" * 8, "id-\U0001f4de")


def random_column(rng: random.Random) -> StringColumn:
    """Strings of a column, in any order, with repeated rows, and wide or narrow offsets."""
    parts = [
        StringColumn.of(
            [rng.choice(TEXTS) + rng.choice(("", str(rng.randrange(99)))) for _ in range(rng.randrange(40))]
        )
        for _ in range(rng.randrange(1, 4))
    ]
    found = concatenate(parts)
    found = found[np.array(rng.choices(range(len(found)), k=rng.choice((0, 3, 700))) if len(found) else [], np.intp)]
    if rng.random() < 0.5:
        found = StringColumn(found.block, found.start.astype(np.int64), found.size)
    return found[::-1] if rng.random() < 0.3 else found


@pytest.mark.parametrize("seed", thorough(range(300), 60))
def test_strings_are_copied_as_by_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    strings = random_column(random.Random(seed))
    monkeypatch.setattr(native_strings, "enabled", True)
    packed = strings.packed()
    monkeypatch.setattr(native_strings, "enabled", False)
    expected = strings.packed()
    assert packed.block == expected.block
    assert packed.start.tolist() == expected.start.tolist()
    assert packed.start.dtype == expected.start.dtype
    assert packed.tolist() == strings.tolist()


def columns() -> dict[str, Any]:
    return {"block": b"abcdef", "start": np.array([0, 4], np.int32), "size": np.array([3, 2], np.int32)}


WRONG: dict[str, tuple[str, Any]] = {
    "beyond the block": ("size", lambda size: size + 1),
    "start beyond the block": ("start", lambda start: start + 9),
    "negative start": ("start", lambda start: start - 1),
    "start near the largest number": ("start", lambda start: start.astype(np.int64) + (2**63 - 9)),
    "negative size": ("size", lambda size: -size),
    "fewer starts": ("start", lambda start: start[:1]),
    "fewer sizes": ("size", lambda size: size[:1]),
    "wide sizes": ("size", lambda size: size.astype(np.int64)),
    "narrow starts": ("start", lambda start: start.astype(np.int16)),
    "starts that are not aligned": ("start", lambda start: np.zeros(9, np.uint8)[1:].view(np.int32)),
}


@pytest.mark.parametrize("which", WRONG)
def test_columns_that_do_not_fit_are_refused(which: str) -> None:
    given, (name, change) = columns(), WRONG[which]
    assert native_strings.pack(**given) == b"abcef"
    given[name] = change(given[name])
    with pytest.raises(ValueError, match=r"fit|block"):
        native_strings.pack(**given)
