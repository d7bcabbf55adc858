"""The extension counts the uses that numpy counts, and refuses arguments that do not fit."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.calls.fields import BIT
from monitor.core.calls.key_placement import SECRET_BYTES, Placement
from monitor.core.calls.new_calls import NewCalls
from monitor.core.windows.distinct import native_uses
from monitor.core.windows.distinct.key_uses import SETS, KeyUses

pytestmark = pytest.mark.skipif(not native_uses.built(), reason="the extension is not built")

TENANTS = 5
WORDS = (0, 1 << BIT["attempts"], 1 << BIT["attempts"] | 1 << BIT["answered"], 1 << BIT["answered"], (1 << 64) - 1)


def some_calls(rng: random.Random, count: int, keys: int) -> NewCalls:
    calls = NewCalls.room(count)
    for column in calls:
        column[:] = 0
    busy = rng.randrange(TENANTS)
    for row in range(count):
        calls.tenant[row] = rng.choice((busy, busy, rng.randrange(TENANTS)))
        calls.word[row] = rng.choice(WORDS)
        for column in (calls.callee_key, calls.caller_key, calls.consent_key):
            column[row] = rng.randrange(keys) * 0x9E3779B97F4A7C1F % (1 << 64)
    return calls


@pytest.mark.parametrize("seed", thorough(range(100), 25))
def test_uses_are_those_that_numpy_counts(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where counters overflow, and where tenants get more counters and lose them."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    monkeypatch.setattr("monitor.core.windows.distinct.key_uses._MOST_OFTEN", rng.choice((1, 2, 64)))
    monkeypatch.setattr("monitor.core.windows.distinct.key_uses._OFTEN", rng.choice((12, 32, 10_000)))
    placement = Placement(rng.randbytes(SECRET_BYTES))
    numpy, extension = KeyUses(placement), KeyUses(placement)
    for _ in range(30):
        calls = some_calls(rng, rng.choice((0, 1, 40, 600)), rng.choice((1, 2, 50, 100_000)))
        if rng.random() < 0.3:
            which, who = rng.choice(SETS), np.array(sorted(rng.sample(range(TENANTS), 2)))
            for uses in (numpy, extension):
                uses.reach(TENANTS)
                uses.restart(which, who)
        for uses in (numpy, extension):
            monkeypatch.setattr(native_uses, "enabled", uses is extension)
            uses.reach(TENANTS)
            uses.add(calls)
        assert extension.before.tolist() == numpy.before.tolist()
        assert extension.largest.tolist() == numpy.largest.tolist()


def test_a_counter_of_two_bytes_overflows_as_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two keys of a busy tenant overflow in one batch."""
    calls = NewCalls.room(80_000)
    for column in calls:
        column[:] = 0
    calls.word[:] = 1 << BIT["attempts"]
    calls.callee_key[:] = np.arange(len(calls.tenant), dtype=np.uint64) % 2 * np.uint64(0x9E3779B97F4A7C1F)
    counts = []
    for enabled in (False, True):
        monkeypatch.setattr(native_uses, "enabled", enabled)
        uses = KeyUses()
        uses.reach(TENANTS)
        for _ in range(3):
            uses.add(calls)
        counts.append((uses.before.tolist(), uses.largest.tolist()))
    numpy, extension = counts
    assert extension == numpy
    assert np.max(numpy[0]) > 65_535


def counting() -> dict[str, Any]:
    return {
        "words": Placement().words,
        "word": np.array([1 << BIT["attempts"]] * 3, np.uint64),
        "tenant": np.array([0, 1, 4], np.int32),
        **{name: np.arange(3, dtype=np.uint64) for name in ("callee", "caller", "consent")},
        "attempt": 1 << BIT["attempts"],
        "answered": 1 << BIT["answered"],
        "few": np.zeros((3, TENANTS, 64), np.uint8),
        "many": np.zeros((3, 2, 4_096), np.uint16),
        "rows": 2,
        "row": np.array([-1, 0, -1, -1, 1], np.int64),
        "largest": np.zeros((3, TENANTS), np.int64),
    }


COLUMNS = ("words", "word", "tenant", "callee", "caller", "consent", "few", "row", "largest")


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        *((name, lambda column: column[:-1].copy()) for name in COLUMNS if name not in ("word", "few")),
        *((name, lambda column: column.astype(np.int16)) for name in COLUMNS),
        ("few", lambda few: np.ascontiguousarray(few[:, :, :63])),
        ("few", lambda few: np.zeros((3, TENANTS, 1), np.uint8)),
        ("few", lambda few: few.reshape(-1)[:-1].copy()),
        ("many", lambda many: many.astype(np.uint8)),
        ("many", lambda many: np.ascontiguousarray(many[:, :, 1:])),
        ("rows", lambda rows: 1),
        ("rows", lambda rows: 0),
        ("rows", lambda rows: -2),
        ("rows", lambda rows: 2**62),
        ("row", lambda row: row + 1),
        ("tenant", lambda tenant: tenant + 1),
        ("tenant", lambda tenant: tenant - 1),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name: str, changed: Callable[[Any], Any]) -> None:
    assert native_uses._uses.count(*counting().values()) is False
    refused = counting()
    refused[name] = changed(refused[name])
    before = [np.copy(refused[table]) for table in ("few", "many", "largest")]
    with pytest.raises(ValueError, match=r"fit|such"):
        native_uses._uses.count(*refused.values())
    assert all((refused[table] == old).all() for table, old in zip(("few", "many", "largest"), before, strict=True))
