"""The extension selects the calls that numpy selects, and refuses arguments that do not fit."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers.colliding_numbers import COLLIDING_IDS
from helpers.thorough import thorough
from monitor.core.calls import native_newest
from monitor.core.calls.keys import hashes
from monitor.core.calls.newest_calls import EVER, CandidateCalls, WantedField, mark_newest
from monitor.core.calls.string_column import StringColumn

pytestmark = pytest.mark.skipif(not native_newest.built(), reason="the extension is not built")

LETTERS = ("", "a", "aa", "b", "Z", "é", "中", "\uffff", "\U0001f600", "c\0", "c\0a")


def some_calls(rng: random.Random) -> CandidateCalls:
    """Groups of several sizes at a few instants; ids of several widths, a few of them twice, in a shared block."""
    rows = []
    instants, twice = rng.choice((1, 2, 10, 1_000)), rng.random() < 0.3
    for group in range(rng.choice((0, 1, 4, 30))):
        size = rng.choice((1, 3, 20, 21, 25, 90))
        names = [f"{rng.choice(LETTERS)}{number}{rng.choice(LETTERS)}" for number in range(size)]
        if twice:
            names = [rng.choice(names) if rng.random() < 0.4 else name for name in names]
        times = sorted(rng.randrange(instants) for _ in names)
        rows += [(group * 7, at, name) for at, name in zip(times, names, strict=True)]
    ids = StringColumn.of([name for *_, name in [*rows, *rows]])[len(rows) :]
    return CandidateCalls(
        np.array([group for group, *_ in rows], np.int64),
        np.array([at for _, at, _ in rows], np.int64),
        np.array([rng.choice((0, 1, 3, 7, 1 << 63, rng.getrandbits(64))) for _ in rows], np.uint64),
        ids,
    )


@pytest.mark.parametrize("seed", thorough(range(300), 60))
def test_the_newest_are_those_that_numpy_selects(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    calls = some_calls(rng)
    wanted = [
        WantedField(1 << bit, rng.choice((1, 2, 1 << 63, 5)), rng.choice((0, 0, 8, 16)), rng.choice((EVER, 1, 5, 500)))
        for bit in rng.sample(range(64), rng.choice((0, 1, 5, 20)))
    ]
    found = []
    for enabled in (False, True):
        monkeypatch.setattr(native_newest, "enabled", enabled)
        found.append(mark_newest(calls, wanted).tolist())
    assert found[1] == found[0]


@pytest.mark.parametrize("enabled", [False, True], ids=["numpy", "native"])
def test_ids_with_equal_hashes_are_two_calls_and_cost_no_more(enabled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*(f"call-{number}" for number in range(5_000)), *COLLIDING_IDS]
    ids = StringColumn.of(names)
    assert len(set(hashes(ids).tolist())) == len(names) - 1
    read: list[Any] = []
    one = StringColumn.__getitem__

    def counted(self: StringColumn, rows: Any) -> Any:
        found = one(self, rows)
        read.extend([rows] if isinstance(found, str) else [])
        return found

    def all_of_them(self: StringColumn) -> list[str]:
        raise AssertionError("all ids are read")

    monkeypatch.setattr(StringColumn, "__getitem__", counted)
    monkeypatch.setattr(StringColumn, "tolist", all_of_them)
    monkeypatch.setattr(native_newest, "enabled", enabled)
    rows = np.arange(len(names), dtype=np.int64)
    calls = CandidateCalls(rows * 0, rows, np.ones(len(names), np.uint64), ids)
    assert np.flatnonzero(mark_newest(calls, [WantedField(1, 1)])).tolist() == rows[-20:].tolist()
    assert len(read) <= 21


def marking() -> dict[str, Any]:
    ids = StringColumn.of(["a", "bc"])
    return {
        "group": np.array([1, 1], np.int64),
        "end_ms": np.array([5, 6], np.int64),
        "word": np.array([1, 1], np.uint64),
        "block": ids.block,
        "start": ids.start,
        "size": ids.size,
        "fields": np.array([(1, 1, 0, EVER)], native_newest._FIELD),
        "mask": np.full(2, 9, np.uint64),
    }


COLUMNS = ("group", "end_ms", "word", "size", "mask")


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *((name, lambda column: column[:-1].copy()) for name in (*COLUMNS, "start")),
        *((name, lambda column: column.astype(np.int16)) for name in (*COLUMNS, "start")),
        ("block", lambda block: block[:-1]),
        ("start", lambda start: start + 1),
        ("start", lambda start: start - 1),
        ("start", lambda start: start.astype(np.int64) + 2**62),
        ("size", lambda size: size + 1),
        ("size", lambda size: size - 2),
        ("fields", lambda fields: fields.view(np.uint64)),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name: str, changed: Callable[[Any], Any]) -> None:
    fit = marking()
    native_newest._newest.mark(*fit.values())
    assert fit["mask"].tolist() == [1, 1]
    refused = marking()
    refused[name] = changed(refused[name])
    before = refused["mask"].copy()
    with pytest.raises(ValueError, match=r"fit|beyond"):
        native_newest._newest.mark(*refused.values())
    assert (refused["mask"] == before).all()
