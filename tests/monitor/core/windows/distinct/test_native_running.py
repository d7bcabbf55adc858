"""The extension that changes distinct counts by new calls refuses arguments that do not fit."""

from typing import Any

import numpy as np
import pytest

from monitor.core.calls.fields import BIT
from monitor.core.calls.key_placement import Placement
from monitor.core.windows.distinct import native_running
from monitor.core.windows.distinct.key_table import KeyTable

pytestmark = pytest.mark.skipif(
    not native_running.built(), reason="the extension is not built: no C compiler (`.ci/run` requires it)"
)

CONSENTS = 4


def arguments() -> dict[str, list[Any]]:
    """The groups of arguments of a call that counts three calls of two tenants, by name."""
    tables = [KeyTable(Placement()).native for _ in range(4)]
    three = np.array([1, 2, 3], np.uint64)
    return {
        "set": [CONSENTS],
        "calls": [
            *(np.array([0, 1, 0], np.int32), np.arange(3), np.full(3, 1 << BIT["answered"], np.uint64), three),
            *(np.ones(3, np.bool_), three, three, three),
        ],
        "bits": [1 << BIT["attempts"], 1 << BIT["answered"]],
        "running": [
            *(np.array([1, 0], np.int32), np.zeros(2, np.uint8), np.zeros(2, np.bool_)),
            *(np.zeros((2, native_running.FIRST_LIMIT + 1), np.int64), np.zeros(2, np.bool_)),
        ],
        "kind": [np.array([3], np.int32), True, True, 6, 7, 10],
        "span": [0, 10, 0],
        "keys": [*tables[0], 3, *tables[1]],
        "groups": [*tables[2], 3, *tables[3]],
    }


def add(given: dict[str, list[Any]]) -> tuple[int, int]:
    (which,), *others = given.values()
    return native_running._running.add(which, *map(tuple, others))


WRONG: dict[str, tuple[str, int, Any]] = {
    "a set that there is not": ("set", 0, lambda which: 5),
    "a negative set": ("set", 0, lambda which: -1),
    "wide tenants": ("calls", 0, lambda tenant: tenant.astype(np.int64)),
    "fewer times": ("calls", 1, lambda end_ms: end_ms[:2]),
    "fewer words": ("calls", 2, lambda word: word[:2]),
    "narrow keys of callees": ("calls", 3, lambda key: key.astype(np.uint32)),
    "fewer kinds": ("calls", 4, lambda numeric: numeric[:2]),
    "fewer keys of callers": ("calls", 5, lambda key: key[:2]),
    "fewer keys of blocks": ("calls", 6, lambda key: key[:2]),
    "fewer keys of consents": ("calls", 7, lambda key: key[:2]),
    "a row beyond the counts": ("running", 0, lambda row: row + 1),
    "wide rows": ("running", 0, lambda row: row.astype(np.int64)),
    "fewer levels": ("running", 1, lambda level: level[:1]),
    "a level beyond 63": ("running", 1, lambda level: level + 64),
    "fewer rows": ("running", 2, lambda later: later[:1]),
    "counts of fewer columns": ("running", 3, lambda counts: counts[:, 1:].copy()),
    "fewer marks": ("running", 4, lambda changed: changed[:1]),
    "wide limits": ("kind", 0, lambda limits: limits.astype(np.int64)),
    "a unit of more than 63 bits": ("kind", 3, lambda bits: 64),
    "a block of negative bits": ("kind", 4, lambda bits: -1),
    "a table without a power of two": ("keys", 0, lambda slots: slots[:1000]),
    "two words": ("keys", 1, lambda words: words[:2]),
    "no room for all calls": ("keys", 2, lambda room: 2),
    "a window's table without a power of two": ("keys", 3, lambda slots: slots[:1000]),
    "a table of groups without a power of two": ("groups", 0, lambda slots: slots[:1000]),
    "no room for all groups": ("groups", 2, lambda room: 2),
    "two words of the window's groups": ("groups", 4, lambda words: words[:2]),
}


@pytest.mark.parametrize("which", WRONG)
def test_arguments_that_do_not_fit_are_refused(which: str) -> None:
    assert add(arguments()) == (3, 3)
    given = arguments()
    group, place, change = WRONG[which]
    given[group][place] = change(given[group][place])
    with pytest.raises(ValueError, match=r"fit|such|power of two|expected|room"):
        add(given)
    assert not given["running"][3].any()


def test_tenants_without_counts_may_have_any_number() -> None:
    given = arguments()
    given["calls"][0] = np.array([-1, 9, 2**31 - 1], np.int32)
    assert add(given) == (0, 0)
    assert not given["running"][3].any()


def test_groups_need_no_room_if_keys_are_not_counted_by_group() -> None:
    given = arguments()
    given["kind"][2], given["groups"][2] = False, 0
    assert add(given) == (3, 0)
