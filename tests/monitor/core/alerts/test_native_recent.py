"""The extension counts recent calls as numpy does, and refuses arguments that do not fit."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from helpers.thorough import thorough
from monitor.core.alerts import native_recent
from monitor.core.alerts.early_windows import EarlyWindows
from monitor.core.alerts.native_recent import PaneTargets, Target
from monitor.core.calls.fields import FieldLayout
from monitor.core.calls.new_calls import NewCalls

pytestmark = pytest.mark.skipif(not native_recent.built(), reason="the extension is not built")

PANE_MS, WIDTH, TENANTS = 60_000, 12, 200
LAYOUT = FieldLayout((6_000,), ("Asia/Shanghai",), short_ring_ms=(3_000,))


class Panes:
    """Open panes whose calls are counted in random columns."""

    pane_ms, layout = PANE_MS, LAYOUT

    def sum_up(self) -> None:
        """Nothing is summed up."""


class Windows(EarlyWindows):
    """Early windows without ends: panes are counted in these columns."""

    def __init__(self, targets: dict[int, Target]) -> None:
        super().__init__({}, Panes(), SimpleNamespace(), 0, 0)  # type: ignore[arg-type]
        self._known = targets
        self.table.values = np.zeros((TENANTS, WIDTH), np.int64)

    def _target(self, start_ms: int) -> Target:
        return self._known[start_ms]


def random_targets(rng: np.random.Generator, panes: int) -> dict[int, Target]:
    def target() -> Target:
        columns = rng.permutation(WIDTH)[: rng.integers(0, WIDTH)]
        return columns, rng.integers(0, LAYOUT.width, len(columns))

    return {number * PANE_MS: target() for number in range(panes)}


def random_calls(rng: np.random.Generator, count: int, panes: int) -> NewCalls:
    calls = NewCalls.room(count)
    calls.tenant[:] = rng.choice(TENANTS, count)
    calls.end_ms[:] = rng.integers(0, panes * PANE_MS, count)
    calls.word[:] = rng.integers(0, 1 << LAYOUT.bits, count, np.uint64)
    calls.talk_ms[:], calls.ring_delay_ms[:] = rng.integers(0, 2**40, (2, count))
    for column in calls[5:]:
        column[:] = 0
    return calls


@pytest.mark.parametrize("seed", thorough(range(200), 40))
def test_calls_are_counted_as_by_numpy(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some tenants at a time, all of them, and those for whose calls there is no room."""
    rng = np.random.default_rng(seed)
    monkeypatch.setattr("monitor.core.alerts.recent_calls._MOST", int(rng.choice((50, 700, 2_000))))
    monkeypatch.setattr("monitor.core.windows.distinct.key_uses.KeyUses.add", lambda self, calls: None)
    panes = int(rng.choice((1, 2, 4, 200)))
    targets = random_targets(rng, panes)
    with_numpy, with_extension = Windows(targets), Windows(targets)
    for _ in range(rng.integers(1, 7)):
        calls = random_calls(rng, int(rng.choice((0, 1, 5, 60, 900))), panes)
        who = np.flatnonzero(rng.random(TENANTS) < rng.choice((0.02, 0.5)))
        everyone, some = rng.random() < 0.2, rng.random() < 0.8
        for enabled, windows in enumerate((with_numpy, with_extension)):
            monkeypatch.setattr(native_recent, "enabled", bool(enabled))
            windows.take([calls])
            if some:
                windows.enter_calls_of(who)
            if everyone:
                windows.enter_all()
        assert with_extension.table.values.tolist() == with_numpy.table.values.tolist()
        recent, expected = with_extension._recent, with_numpy._recent
        assert recent._count == expected._count
        assert recent._waits[: recent._count].tolist() == expected._waits[: expected._count].tolist()


def test_the_targets_of_all_panes_of_a_backlog_are_given_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pane after the other took a quarter of a worker's time: each try goes over all calls."""
    rng = np.random.default_rng(3)
    windows, tries = Windows(random_targets(rng, 300)), 0
    enter = native_recent.enter

    def counting(*arguments: Any) -> bool:
        nonlocal tries
        tries += 1
        return enter(*arguments)

    monkeypatch.setattr("monitor.core.windows.distinct.key_uses.KeyUses.add", lambda self, calls: None)
    monkeypatch.setattr(native_recent, "enabled", True)
    monkeypatch.setattr(native_recent, "enter", counting)
    windows.take([random_calls(rng, 900, 300)])
    windows.enter_all()
    assert tries == 2


# Refused arguments --------------------------------------------------------------------------------------------------


def given() -> dict[str, Any]:
    """The arguments, by name: three calls of three tenants, in two panes, which are counted in two columns and one."""
    return {
        "values": np.zeros((3, 4), np.int64),
        "tenants": 3,
        "width": 4,
        "number": np.array([7, 9]),
        "first": np.array([0, 2, 3]),
        "column": np.array([0, 3, 1]),
        "field": np.array([0, 9, 10]),
        "bits": 9,
        "waits": np.ones(3, np.bool_),
        "marked": np.ones(3, np.bool_),
        "pane": np.array([7, 9, 7]),
        "tenant": np.array([0, 2, 1], np.int32),
        "word": np.full(3, 511, np.uint64),
        "talk_ms": np.array([1, 2, 3]),
        "ring_delay_ms": np.array([4, 5, 6]),
        "count": 3,
    }


WRONG: dict[str, tuple[str, Any]] = {
    "panes in another order": ("number", lambda number: number[::-1].copy()),
    "a pane twice": ("number", lambda number: np.full_like(number, 7)),
    "a narrower table": ("width", lambda width: 3),
    "a table of no width": ("width", lambda width: 0),
    "a negative width": ("width", lambda width: -4),
    "a narrow table": ("values", lambda values: values.astype(np.int32)),
    "more tenants": ("tenants", lambda tenants: 4),
    "a negative number of tenants": ("tenants", lambda tenants: -3),
    "very many tenants": ("tenants", lambda tenants: 2**62),
    "a tenant that is not given": ("values", lambda values: values[:2].copy()),
    "fewer panes": ("number", lambda number: number[:1]),
    "fewer targets": ("column", lambda column: column[:2]),
    "fewer fields": ("field", lambda field: field[:2]),
    "a target beyond": ("first", lambda first: np.array([0, 2, 4])),
    "a negative target": ("first", lambda first: np.array([-1, 2, 3])),
    "targets that descend": ("first", lambda first: np.array([0, 3, 2])),
    "a column beyond": ("column", lambda column: column + 1),
    "a negative column": ("column", lambda column: column - 1),
    "a field beyond": ("field", lambda field: field + 1),
    "a negative field": ("field", lambda field: field - 1),
    "more bits than a word has": ("bits", lambda bits: 65),
    "negative bits": ("bits", lambda bits: -1),
    "fewer marks of calls": ("waits", lambda waits: waits[:2]),
    "fewer marks of tenants": ("marked", lambda marked: marked[:2]),
    "wide marks of tenants": ("marked", lambda marked: marked.astype(np.int32)),
    "fewer calls": ("pane", lambda pane: pane[:2]),
    "a tenant beyond": ("tenant", lambda tenant: tenant + np.int32(1)),
    "a negative tenant": ("tenant", lambda tenant: tenant - np.int32(1)),
    "wide tenants": ("tenant", lambda tenant: tenant.astype(np.int64)),
    "narrow words": ("word", lambda word: word.astype(np.uint32)),
    "fewer times": ("talk_ms", lambda talk_ms: talk_ms[:2]),
    "narrow times": ("ring_delay_ms", lambda ring_delay_ms: ring_delay_ms.astype(np.int32)),
    "more calls": ("count", lambda count: 4),
    "a negative number of calls": ("count", lambda count: -1),
}


@pytest.mark.parametrize("which", WRONG)
def test_arguments_that_do_not_fit_are_refused_without_a_change(which: str) -> None:
    arguments, (name, change) = given(), WRONG[which]
    assert native_recent._recent.enter(*arguments.values()) == -1
    assert arguments["values"].tolist() == [[1, 0, 0, 1], [1, 0, 0, 3], [0, 5, 0, 0]]
    arguments = given()
    arguments[name] = change(arguments[name])
    with pytest.raises(ValueError, match=r"fit|such|expected"):
        native_recent._recent.enter(*arguments.values())
    assert not arguments["values"].any()
    assert arguments["waits"].all()


def test_nothing_is_counted_before_the_targets_of_all_panes_are_known() -> None:
    arguments = given()
    arguments |= PaneTargets.of({7: (np.array([0, 3]), np.array([0, 9]))}, 9)._asdict()
    assert native_recent._recent.enter(*arguments.values()) == 9
    assert not arguments["values"].any()
    assert arguments["waits"].all()


def test_calls_may_come_before_there_is_a_column() -> None:
    arguments = given()
    arguments |= {"values": np.zeros((3, 0), np.int64), "width": 0, "column": np.array([], np.int64)}
    arguments |= {"field": np.array([], np.int64), "first": np.array([0, 0, 0])}
    assert native_recent._recent.enter(*arguments.values()) == -1
    assert not arguments["waits"].any()
