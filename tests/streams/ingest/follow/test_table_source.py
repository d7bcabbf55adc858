"""Rows of a table, also those that are committed out of order: each is read once."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import structlog
from followed_tables import Followed, MemoryTable, shown

from helpers.thorough import thorough
from streams.ingest.follow.positions import TablePosition
from streams.ingest.follow.row_writer import RowWriter
from streams.ingest.follow.tables import table_source
from streams.ingest.follow.tables.seen_keys import SeenKeys
from streams.ingest.follow.tables.settling import SETTLED_S
from streams.ingest.follow.tables.table_source import POSITION
from streams.kafka.api import PermanentError


@pytest.mark.parametrize("seed", thorough(range(40), 5))
def test_each_row_is_read_once_in_whatever_order_it_is_committed(seed: int, rows: RowWriter) -> None:
    print("seed", seed)
    rng = random.Random(seed)
    table = MemoryTable()
    followed = Followed(table, rows)
    commits: list[tuple[float, int]] = []
    now_s, key, rolled_back = 0.0, 0, set[int]()
    while now_s < 400 or commits:
        now_s += rng.uniform(0, 1.5)
        for _ in range(rng.choice((0, 1, 3)) if now_s < 400 else 0):
            key += rng.choice((1, 1, 1, 3))
            slow_s = rng.uniform(0, SETTLED_S - 2) if rng.random() < 0.3 else rng.uniform(0, 0.1)
            commits.append((now_s + slow_s, key))
            if rng.random() < 0.05:
                rolled_back.add(key)
        table.visible |= {each for at_s, each in commits if at_s <= now_s and each not in rolled_back}
        commits = [each for each in commits if each[0] > now_s]
        table.away = rng.random() < 0.05
        followed.read(now_s - followed.now_s, 0.1, rng)
        if rng.random() < 0.03:
            followed.restart()
        if rng.random() < 0.02 and now_s > 200:  # old rows are deleted
            least = sorted(table.visible)[len(table.visible) // 4]
            table.visible -= {each for each in table.visible if each < least}
    table.away = False
    followed.read()
    written = [shown(out) for out in followed.outs]
    assert len(written) == len(set(written))
    assert set(written) >= {f"c-{each}" for each in table.visible}
    stored = followed.positions[POSITION]
    assert isinstance(stored, TablePosition)
    assert len(stored.seen) < 1_000


def test_the_floor_rises_and_keys_are_forgotten(rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    for number in range(300):
        table.visible.add(number + 1)
        assert followed.read(1.0) == [f"c-{number + 1}"]
    stored = followed.positions[POSITION]
    assert isinstance(stored, TablePosition)
    assert 230 <= stored.floor <= 240
    assert followed.source.backlog.left == 0


@pytest.mark.parametrize("jump", [0, 5_000_000])
@pytest.mark.parametrize("restarts", [False, True])
def test_rows_of_a_transaction_of_an_hour_are_read(restarts: bool, jump: int, rows: RowWriter) -> None:
    """The database says that it has not ended. Others that begin later and end do not matter."""
    table = MemoryTable()
    followed = Followed(table, rows)
    table.visible = {1} | ({jump} if jump else set())
    followed.read()
    table.open = {"3/7"}  # it was given the keys 10 and 11
    for n in range(720):
        table.visible.add(12 + n)
        table.open = {"3/7", f"4/{n}"}
        assert followed.read(5.0) == [f"c-{12 + n}"]
        if restarts and n == 400:
            followed.restart()
    table.visible |= {10, 11}
    table.open = set()
    assert followed.read() == ["c-10", "c-11"]
    for _ in range(40):
        followed.read()
    assert followed.source._floor >= 700
    assert len(followed.source._samples) < 70


def test_a_transaction_that_never_ends_stops_no_table(rows: RowWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_source, "MOST_SEEN", 200)
    table = MemoryTable()
    followed = Followed(table, rows)
    table.open = {"3/7"}
    with structlog.testing.capture_logs() as logs:
        for n in range(1, 1_000):
            table.visible.add(n)
            followed.read(5.0)
    assert len(followed.outs) == 999
    assert len(followed.source._seen) <= 200
    [said] = [each for each in logs if each["log_level"] == "warning"]
    assert (said["transaction"], said["table"]) == ("3/7", "acc")


def test_a_database_that_stood_still_may_commit_afterwards(rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    table.visible = {1, 2, 4}
    followed.read()
    for _ in range(50):
        table.away = True
        assert followed.read() == []
        table.away = False
        assert followed.read(0.1) == []
    table.visible.add(3)
    assert followed.read() == ["c-3"]
    for _ in range(32):
        followed.read()
    assert followed.source._floor == 4


def test_no_row_is_read_while_too_many_may_have_smaller_keys_behind(
    rows: RowWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_source, "MOST_SEEN", 20)
    table = MemoryTable()
    table.visible |= set(range(1, 100))
    followed = Followed(table, rows)
    assert len(followed.read()) == 21
    assert not followed.source.at_end
    assert followed.source.backlog.left == 99 - 21
    read = 21
    while read < 99:
        found = len(followed.read(SETTLED_S))
        assert found
        read += found
    followed.read()
    assert followed.source.at_end


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("huge", [5_000_000, (1 << 63) - 1])
def test_rows_far_below_a_key_given_by_hand_are_read(huge: int, restarts: bool, rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    table.visible = {1, 2, 3, huge}
    assert followed.read() == ["c-1", "c-2", "c-3", f"c-{huge}"]
    for n in range(4, 400):
        table.visible.add(n)
        assert followed.read() == [f"c-{n}"]
        if restarts and n % 40 == 0:
            followed.restart()
    floor = followed.source._floor
    assert 0 < floor < 399
    if not restarts:
        assert floor >= 399 - SETTLED_S / 2 - 3  # what is settled is forgotten
        assert len(followed.source._seen) < 40


def test_keys_that_go_on_above_a_gap_are_believed(rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    table.visible = {1, 2, 3}
    followed.read()
    table.visible |= set(range(2_000_000, 2_001_001))
    assert len(followed.read()) == 1_001
    for _ in range(2):
        followed.read(SETTLED_S)
    assert followed.source._floor >= 2_000_000


@pytest.mark.parametrize("keys", thorough([1_200, 2_000], 1))
def test_keys_that_are_all_far_apart_are_followed(rows: RowWriter, keys: int) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    for n in range(-3, keys):
        table.visible.add(n << 22)
        assert followed.read() == [f"c-{n << 22}"]
    assert len(followed.source._seen) < 1_100
    assert followed.source.away is None


def test_a_table_that_begins_again_is_not_taken_for_the_old_one(rows: RowWriter) -> None:
    table = MemoryTable()
    table.visible |= {1_000, 1_001}
    followed = Followed(table, rows)
    assert followed.read() == ["c-1000", "c-1001"]
    for _ in range(40):
        followed.read()
    table.visible = {1, 2}
    assert followed.read() == []
    assert (followed.source.away or "").startswith("the greatest id of acc is 2, and it was read up to 1001: was the")
    table.visible = set()
    followed.read()
    assert followed.source.away is None


@pytest.mark.parametrize("settles", [False, True])
def test_a_table_that_was_filled_past_the_old_key_is_a_loss(settles: bool, rows: RowWriter) -> None:
    table = MemoryTable()
    table.visible |= set(range(1, 11))
    followed = Followed(table, rows)
    followed.read()
    for _ in range(40 if settles else 0):
        followed.read()
    table.made = "again-"
    table.visible = set(range(1, 14))
    followed.restart()
    with structlog.testing.capture_logs() as logs:
        assert followed.read() == ["again-c-11", "again-c-12", "again-c-13"]
    assert [each["key"] for each in logs if each["event"].startswith("the table was made again")] == [10]
    assert followed.losses == {"replaced": 1}
    table.visible.add(14)
    followed.restart()
    assert followed.read() == ["again-c-14"]
    assert followed.losses == {"replaced": 1}, "it is said once"


def test_a_row_whose_last_one_was_deleted_or_changed_is_no_loss(rows: RowWriter) -> None:
    table = MemoryTable()
    table.visible |= {1, 2}
    followed = Followed(table, rows)
    followed.read()
    table.visible = {3}
    followed.restart()
    assert followed.read() == ["c-3"]
    table.at += 1
    table.visible.add(4)
    assert followed.read() == ["c-4"]
    assert not followed.losses


@pytest.mark.parametrize("lost", [0.0, 0.5])
@pytest.mark.parametrize("before", [set(), {-7}, {1, 2, 90}])
def test_a_table_can_be_followed_from_its_end(before: set[int], lost: float, rows: RowWriter) -> None:
    table = MemoryTable()
    followed = Followed(table, rows)
    followed.from_end = True
    followed.restart()
    table.visible |= before
    rng = random.Random(5)
    assert followed.read(lost=lost, rng=rng) == []
    followed.restart()
    table.visible |= {100, 101}
    assert followed.read(lost=lost, rng=rng) == ["c-100", "c-101"]
    table.visible.add(99)  # committed out of order
    assert followed.read(lost=lost, rng=rng) == ["c-99"]
    followed.restart()
    assert followed.read(SETTLED_S, lost, rng) == []


def test_the_position_is_that_of_one_table(rows: RowWriter) -> None:
    followed = Followed(MemoryTable(), rows)
    followed.positions[POSITION] = TablePosition("acc_cdrs", "cdr_id", 5, SeenKeys(np.array([7, 9], np.int64)).encode())
    with pytest.raises(PermanentError, match="follows column cdr_id of table acc_cdrs; expected another --name for"):
        followed.restart()


@pytest.mark.parametrize("keys", [[], [5], [-3, 0, 7], [*range(10, 5000)], [1 << 62, (1 << 62) + 5]])
def test_seen_keys_are_what_they_were(keys: Sequence[int]) -> None:
    seen = SeenKeys(np.array(keys, np.int64))
    again = SeenKeys.decode(seen.encode())
    assert len(again) == len(keys)
    assert len(again.unseen(np.array(keys, np.int64))) == 0
    assert len(seen.encode()) < 300
