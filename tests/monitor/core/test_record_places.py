"""Places: one number for a log and an offset, through moves and recreated logs."""

import numpy as np

from monitor.core.record_places import (
    UNKNOWN_PLACE,
    FormerLog,
    RecordLogs,
    pack_places,
    renumbered_place,
    renumbered_places,
    unpack_places,
)
from monitor.core.record_ref import RecordRef

LAST = (1 << 48) - 1


def test_a_place_leads_back_to_its_source_and_offset() -> None:
    logs = RecordLogs([0, 1, 2])
    for source, offset in ((0, 0), (0, LAST), (2, 7)):
        assert logs.find(logs.place(RecordRef(0, source, offset, 0))) == (source, offset)


def test_a_log_that_was_created_again_has_no_old_records() -> None:
    logs = RecordLogs([0, 1])
    before = logs.place(RecordRef(0, 1, 5, 0))
    logs.replace(1)
    assert logs.find(before) is None
    after = logs.place(RecordRef(0, 1, 5, 0))
    assert logs.find(after) == (1, 5)
    logs.replace(0)
    logs.replace(1)
    assert len({before, after, logs.place(RecordRef(0, 1, 5, 0))}) == 3
    assert logs.find(after) is None


def test_after_a_move_the_places_name_the_former_logs() -> None:
    before = RecordLogs([0, 1])
    place = before.place(RecordRef(0, 1, 9, 0))
    moved = RecordLogs([0, 1], {2: FormerLog("a.cdr", 3), 3: FormerLog("a.tenants", 3)})
    numbers = {0: 2, 1: 3}
    assert moved.find(renumbered_place(place, numbers)) == (FormerLog("a.tenants", 3), 9)
    assert renumbered_place(UNKNOWN_PLACE, numbers) == UNKNOWN_PLACE
    assert renumbered_place(place, {0: 2}) == UNKNOWN_PLACE
    column = np.array([place, UNKNOWN_PLACE, before.place(RecordRef(0, 0, LAST, 0))], np.int64)
    assert renumbered_places(column, numbers).tolist() == [renumbered_place(one, numbers) for one in column.tolist()]
    moved.replace(0)
    assert moved.current == [4, 1]


def test_what_was_stored_before_places_were_kept_has_the_numbers_of_the_sources() -> None:
    logs = RecordLogs([0, 1, 2])
    logs.restore(RecordLogs())
    assert (logs.current, logs.former) == ([0, 1, 2], {})
    stored = RecordLogs([5, 1, 2], {3: FormerLog("a.cdr", 0)})
    logs.restore(stored)
    assert (logs.current, logs.former) == (stored.current, stored.former)


def test_packed_places_are_the_same() -> None:
    places = (UNKNOWN_PLACE, 0, LAST, (1 << 50) + 3)
    assert unpack_places(pack_places(places)) == places
    assert unpack_places(b"") == ()
