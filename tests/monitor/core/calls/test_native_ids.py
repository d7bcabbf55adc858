"""The extension places ids as numpy does, and refuses arguments that do not fit. `test_dedup` runs on both."""

import random
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from helpers.shard_samples import T0
from monitor.core.calls import native_ids
from monitor.core.calls.dedup import _FREE, _SLOT, Deduplicator
from monitor.core.calls.hash_table import HashTable, NativeTable
from monitor.core.calls.key_placement import Placement

pytestmark = pytest.mark.skipif(not native_ids.built(), reason="the extension is not built")


@pytest.mark.parametrize("seed", range(12))
def test_both_may_take_turns(seed: int) -> None:
    """On one table, which is rebuilt and restored."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    with patch("monitor.core.calls.hash_table._SMALLEST_TABLE", 4):
        one, turns = Deduplicator(), Deduplicator()
        for step in range(40):
            size = rng.choice((1, 5, 600))
            keys = np.array([rng.randrange(2_000) for _ in range(size)], np.uint64)
            end_ms = T0 + step + np.array([rng.randrange(20) for _ in range(size)])
            found = []
            for ids, enabled in ((one, False), (turns, rng.random() < 0.5)):
                with patch.object(native_ids, "enabled", enabled):
                    found.append(ids.admit(keys, end_ms, np.full(size, T0 + step), T0 + step).tolist())
            assert found[0] == found[1]
            assert [ids.tolist() for ids in one.remembered(T0 + step)] == [
                ids.tolist() for ids in turns.remembered(T0 + step)
            ]
            if step % 9 == 8:
                held, turns = turns.remembered(T0 + step), Deduplicator()
                with patch.object(native_ids, "enabled", rng.random() < 0.5):
                    turns.restore(*held)


@pytest.mark.parametrize("bits", [1, 10, 17])
def test_a_slot_is_that_of_the_placement(bits: int) -> None:
    rng = random.Random(bits)
    for moved in (False, True):
        placement, key = Placement(rng.randbytes(24)), np.array([rng.getrandbits(64)], np.uint64)
        table = free_table(1 << bits, placement)
        if moved:
            assert native_ids.move(table, np.array([(key[0], T0)], _SLOT), T0) == 1
        else:
            time = np.full(1, T0)
            assert native_ids.admit(table, 0, key, time, time, np.zeros(1, np.bool_)) == 1
        assert np.flatnonzero(table.slots["newest_ms"] == T0).tolist() == placement.slots(key, bits).tolist()
        assert np.count_nonzero(table.slots["newest_ms"] == _FREE) == (1 << bits) - 1


def free_table(size: int, placement: Placement) -> NativeTable:
    slots = np.zeros(size, _SLOT)
    slots["newest_ms"] = _FREE
    return NativeTable(slots, placement.words)


def arguments() -> dict[str, Any]:
    """The arguments by which three ids are admitted, by name."""
    table = HashTable(Placement(), _SLOT, "newest_ms", _FREE).native
    return {
        "slots": table.slots,
        "words": table.words,
        "used": 0,
        "key": np.arange(3, dtype=np.uint64),
        "event_ms": np.full(3, T0),
        "line_ms": np.full(3, T0),
        "duplicate": np.zeros(3, np.bool_),
    }


def not_aligned(column: np.ndarray) -> np.ndarray:
    return np.zeros(column.nbytes + 1, np.uint8)[1:].view(column.dtype)


WRONG: dict[str, tuple[str, Any]] = {
    "a table without a power of two": ("slots", lambda slots: slots[:1000]),
    "a table of one slot": ("slots", lambda slots: slots[:1]),
    "slots of another size": ("slots", lambda slots: np.zeros(1024, np.int64)),
    "slots that are not aligned": ("slots", not_aligned),
    "two words": ("words", lambda words: words[:2]),
    "narrow words": ("words", lambda words: words.astype(np.uint32)),
    "no room for three": ("used", lambda used: 1024 - 3),
    "more used slots than there are": ("used", lambda used: 1024),
    "the most used slots": ("used", lambda used: 2**63 - 1),
    "fewer used slots than none": ("used", lambda used: -1),
    "narrow keys": ("key", lambda key: key.astype(np.uint32)),
    "keys that are not aligned": ("key", not_aligned),
    "fewer keys": ("key", lambda key: key[:2]),
    "fewer times": ("event_ms", lambda times: times[:2]),
    "narrow times": ("event_ms", lambda times: times.astype(np.int32)),
    "fewer lines": ("line_ms", lambda lines: lines[:2]),
    "wide answers": ("duplicate", lambda answers: answers.astype(np.int64)),
    "fewer answers": ("duplicate", lambda answers: answers[:2]),
}


@pytest.mark.parametrize("which", WRONG)
def test_arguments_that_do_not_fit_are_refused(which: str) -> None:
    given, (name, change) = arguments(), WRONG[which]
    given[name] = change(given[name])
    before = given["slots"].copy(), given["duplicate"].copy()
    with pytest.raises(ValueError, match=r"fit|power of two"):
        native_ids._ids.admit(*given.values())
    assert (before[0] == given["slots"]).all()
    assert (before[1] == given["duplicate"]).all()


def test_ids_may_fill_all_slots_but_one() -> None:
    given = arguments() | {"used": 1024 - 4}
    assert native_ids._ids.admit(*given.values()) == 3


def test_a_table_or_answers_that_are_read_only_are_refused() -> None:
    for name in ("slots", "duplicate"):
        given = arguments()
        given[name].flags.writeable = False
        with pytest.raises(TypeError, match="read-write"):
            native_ids._ids.admit(*given.values())


def moving() -> dict[str, Any]:
    """The arguments by which three ids are moved, by name."""
    table = free_table(4, Placement())
    return {"slots": table.slots, "words": table.words, "ids": np.array([(n, T0) for n in range(3)], _SLOT)}


def test_ids_are_moved_while_they_fit() -> None:
    """Those that must go, and free slots, take no room."""
    given = moving()
    given["ids"] = np.concatenate([given["ids"], np.array([(7, T0 - 1), (8, _FREE)], _SLOT)])
    assert native_ids._ids.move(*given.values(), T0) == 3
    assert sorted(given["slots"]["newest_ms"].tolist()) == [_FREE, T0, T0, T0]


MOVED_WRONG: dict[str, tuple[str, Any]] = {
    "a table without a power of two": ("slots", lambda slots: slots[:3]),
    "two words": ("words", lambda words: words[:2]),
    "more ids than slots": ("ids", lambda ids: np.resize(ids, 400)),
    "as many ids as slots": ("ids", lambda ids: np.resize(ids, 4)),
    "other ids": ("ids", lambda ids: np.arange(3)),
    "ids that are not aligned": ("ids", not_aligned),
}


@pytest.mark.parametrize("which", MOVED_WRONG)
def test_ids_that_do_not_fit_are_not_moved(which: str) -> None:
    given, (name, change) = moving(), MOVED_WRONG[which]
    given[name] = change(given[name])
    before = given["slots"].copy()
    with pytest.raises(ValueError, match=r"fit|power of two"):
        native_ids._ids.move(*given.values(), T0)
    assert (before == given["slots"]).all()
