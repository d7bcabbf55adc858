"""The extension keeps the sums that numpy keeps, and refuses arguments that do not fit."""

import random
from typing import Any

import numpy as np
import pytest

from helpers.shard_samples import MINUTE, T0
from helpers.thorough import thorough
from monitor.core.calls.columns import unknown_places
from monitor.core.calls.evidence import EvidenceRows
from monitor.core.calls.fields import count_bits
from monitor.core.calls.string_column import StringColumn
from monitor.core.windows import native_sums
from monitor.core.windows.distinct.key_counts import KeyCounts
from monitor.core.windows.pane import Pane, merge
from monitor.core.windows.running_sums import RunningSums

pytestmark = pytest.mark.skipif(not native_sums.built(), reason="the extension is not built")

WIDTH = 5
NO_EVIDENCE = EvidenceRows(
    np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint64), StringColumn.of([]), unknown_places(0)
)
LARGEST = (0, 1, 126, 127, 128, 32_767, 32_768, 2**31 - 1, 2**31, 2**40)


@pytest.mark.parametrize("seed", thorough(range(200), 40))
def test_sums_are_those_that_numpy_keeps(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the dtype at which a pane waits until it leaves, and panes that are stored by field."""
    rng = random.Random(seed)
    fields = rng.sample(range(WIDTH), rng.randrange(WIDTH))
    windows = [RunningSums(3 * MINUTE, fields) for _ in range(2)]
    for number in range(rng.randrange(1, 9)):
        tenants, start_ms = rng.choice((1, 60, 130, 900)), T0 + number * MINUTE
        tenant = np.array(sorted(rng.sample(range(tenants), rng.choice((0, 1, tenants // 2, tenants)))), np.int32)
        largest = rng.choice(LARGEST)
        pane = np.array([[rng.randint(0, largest) for _ in range(WIDTH)] for _ in tenant], np.int64).reshape(-1, WIDTH)
        pane = np.asfortranarray(pane) if rng.random() < 0.3 else pane
        for enabled, window in enumerate(windows):
            monkeypatch.setattr(native_sums, "enabled", bool(enabled))
            window.enter(start_ms, tenant, pane, tenants)
            window.leave(start_ms - 2 * MINUTE)
        expected, found = windows
        assert (found.records, found.version) == (expected.records, expected.version)
        assert found.of_all(900)[:, :900].tolist() == expected.of_all(900)[:, :900].tolist()
        assert [mine.dtype for _, _, mine in found._inside] == [mine.dtype for _, _, mine in expected._inside]


@pytest.mark.parametrize("seed", thorough(range(200), 40))
def test_groups_of_calls_are_summed_up_as_by_numpy(seed: int) -> None:
    """Also words with more bits than are counted, and groups of more calls than numpy sums up in one piece."""
    rng = np.random.default_rng(seed)
    rows, bits = int(rng.choice([1, 7, 300, 1_500])), int(rng.choice([1, 8, 22, 31, 40, 64]))
    wide = bits > 32 or bool(rng.random() < 0.3)
    word = rng.integers(0, 2**64 if wide else 2**32, rows, np.uint64).astype(np.uint64 if wide else np.uint32)
    word[rng.random(rows) < 0.2] = np.iinfo(word.dtype).max
    talk, ring = (rng.integers(0, 2**31, rows).astype(rng.choice([np.int32, np.int64])) for _ in range(2))
    starts = np.flatnonzero(rng.random(rows) < rng.choice([0.01, 0.4, 1.0]))
    starts = np.union1d(starts, [0]).astype(np.intp)
    found = native_sums.group(word, talk, ring, starts, bits)
    assert found[:, :bits].tolist() == count_bits(word, starts, bits).tolist()
    assert found[:, bits].tolist() == np.add.reduceat(talk, starts, dtype=np.int64).tolist()
    assert found[:, bits + 1].tolist() == np.add.reduceat(ring, starts, dtype=np.int64).tolist()


def grouping() -> dict[str, Any]:
    return {
        "word": np.array([1, 3, 7], np.uint32),
        "talk": np.array([5, 0, 7], np.int32),
        "ring": np.array([5, 0, 7], np.int64),
        "starts": np.array([0, 2]),
        "sums": np.zeros((2, WIDTH), np.int64),
    }


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("word", np.array([1, 3], np.uint32)),
        ("word", np.array([1, 3, 7], np.uint16)),
        ("word", np.array([1, 3, 7, 1], np.uint32)),
        ("talk", np.array([1, 3], np.int32)),
        ("talk", np.array([1, 3, 7], np.int16)),
        ("ring", np.array([1, 3, 7, 1], np.int64)),
        ("ring", np.array([1, 3, 7], np.int8)),
        ("starts", np.array([0, 3])),  # a group without a call
        ("starts", np.array([-1, 2])),
        ("starts", np.array([0, 0])),
        ("starts", np.array([2, 0])),
        ("starts", np.array([0, 2], np.int32)),
        ("starts", np.array([0, 1, 2])),
        ("sums", np.zeros((2, 1), np.int64)),
        ("sums", np.zeros((2, 67), np.int64)),
        ("sums", np.zeros(7, np.int64)),
        ("sums", np.zeros((2, WIDTH), np.int32)),
    ],
)
def test_calls_that_do_not_fit_are_not_summed_up(name: str, wrong: Any) -> None:
    native_sums._sums.group(*grouping().values())
    given = grouping() | {name: wrong}
    with pytest.raises(ValueError, match=r"fit|such"):
        native_sums._sums.group(*given.values())
    assert not given["sums"].any()


@pytest.mark.parametrize("seed", thorough(range(200), 40))
def test_panes_are_added_up_as_by_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also panes without tenants, panes stored by field, and more rows than numpy adds up in one pass."""
    rng = random.Random(seed)
    most, panes = rng.choice((1, 60, 900)), []
    for number in range(rng.randrange(1, 5)):
        tenant = np.array(sorted(rng.sample(range(most), rng.choice((0, 1, most // 2, most)))), np.int32)
        sums = np.array([[rng.randint(0, 2**40) for _ in range(WIDTH)] for _ in tenant], np.int64).reshape(-1, WIDTH)
        sums = np.asfortranarray(sums) if rng.random() < 0.3 else sums
        none = KeyCounts.empty()
        panes.append(Pane(T0 + number * MINUTE, tenant, sums, none, none, NO_EVIDENCE))
    expected, found = [merged_by(panes, enabled, monkeypatch) for enabled in (False, True)]
    assert found.tenant.dtype == expected.tenant.dtype == np.int32
    assert found.tenant.tolist() == expected.tenant.tolist()
    assert found.sums.dtype == expected.sums.dtype == np.int64
    assert found.sums.tolist() == expected.sums.tolist()


def merged_by(panes: list[Pane], enabled: bool, monkeypatch: pytest.MonkeyPatch) -> Pane:
    monkeypatch.setattr(native_sums, "enabled", enabled)
    return merge(panes, T0)


def merging() -> dict[str, Any]:
    return {
        "all": np.array([1, 3, 4], np.int32),
        "sums": np.zeros((3, WIDTH), np.int64),
        "tenant": np.array([1, 4], np.int32),
        "pane": np.ones((2, WIDTH), np.int64),
    }


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("all", np.array([1, 3], np.int32)),
        ("all", np.array([1, 3, 4], np.int64)),
        ("sums", np.zeros((3, WIDTH), np.int32)),
        ("sums", np.zeros((2, WIDTH), np.int64)),
        ("sums", np.zeros((3, WIDTH + 1), np.int64)),
        ("tenant", np.array([1, 2], np.int32)),  # between those of the sums
        ("tenant", np.array([1, 5], np.int32)),
        ("tenant", np.array([-1, 1], np.int32)),
        ("tenant", np.array([4, 1], np.int32)),  # not ascending
        ("tenant", np.array([1, 1], np.int32)),
        ("tenant", np.array([1, 3, 4], np.int32)),
        ("tenant", np.array([1, 4], np.int64)),
        ("pane", np.ones((2, WIDTH - 1), np.int64)),
        ("pane", np.ones((2, WIDTH), np.int32)),
    ],
)
def test_a_pane_that_does_not_fit_is_not_added(name: str, wrong: Any) -> None:
    native_sums._sums.merge(*merging().values())
    given = merging() | {name: wrong}
    with pytest.raises(ValueError, match=r"fit|such"):
        native_sums._sums.merge(*given.values())
    assert not given["sums"].any()


def entering() -> dict[str, Any]:
    return {
        "sums": np.zeros((2, 3), np.int64),
        "fields": np.array([0, 4], np.int32),
        "tenant": np.array([0, 2], np.int32),
        "pane": np.ones((2, WIDTH), np.int64),
        "mine": np.zeros((2, 2), np.int64),
    }


def leaving() -> dict[str, Any]:
    return {
        "sums": np.zeros((2, 3), np.int64),
        "fields": 2,
        "tenant": np.array([0, 2], np.int32),
        "mine": np.ones((2, 2), np.int8),
    }


WRONG: dict[str, tuple[str, Any]] = {
    "narrow sums": ("sums", lambda sums: sums.astype(np.int32)),
    "sums of no whole tenant": ("sums", lambda sums: np.zeros(5, np.int64)),
    "a tenant beyond the sums": ("tenant", lambda tenant: tenant + 1),
    "a negative tenant": ("tenant", lambda tenant: tenant - 1),
    "wide tenants": ("tenant", lambda tenant: tenant.astype(np.int64)),
    "more tenants": ("tenant", lambda tenant: np.zeros(3, np.int32)),
    "no room": ("mine", lambda mine: mine[:, :1].copy()),
}


@pytest.mark.parametrize("which", [*WRONG, "a field beyond the pane", "a negative field", "a narrow pane"])
def test_a_pane_that_does_not_fit_does_not_enter(which: str) -> None:
    given = entering()
    native_sums._sums.enter(*given.values())
    name, change = WRONG.get(which, ("fields", lambda fields: fields + (1 if "beyond" in which else -1)))
    if which == "a narrow pane":
        name, change = "pane", lambda pane: pane.astype(np.int32)
    given[name] = change(given[name])
    before = given["sums"].copy()
    with pytest.raises(ValueError, match=r"fit|such"):
        native_sums._sums.enter(*given.values())
    assert (given["sums"] == before).all()


@pytest.mark.parametrize("which", [*WRONG, "no number of fields", "a negative number of fields"])
def test_a_pane_that_does_not_fit_does_not_leave(which: str) -> None:
    given = leaving()
    native_sums._sums.leave(*given.values())
    name, change = WRONG.get(which, ("fields", lambda _: 0 if "no number" in which else -2))
    given[name] = change(given[name])
    before = given["sums"].copy()
    with pytest.raises(ValueError, match=r"fit|such"):
        native_sums._sums.leave(*given.values())
    assert (given["sums"] == before).all()
