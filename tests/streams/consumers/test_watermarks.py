"""High watermarks that a position has not reached: since when, and what is known by when, for any number of reports."""

import random
from bisect import bisect_right
from operator import itemgetter

from streams.consumers.watermarks import _MOST, PATIENCE_S, HighWatermarks, LaggingPartition
from streams.kafka.api import TP


def test_a_transaction_under_way_is_no_fault_and_one_that_stays_open_is() -> None:
    """Consecutive transactions keep the position below each newest report, and above each old one."""
    watermarks = HighWatermarks()
    for turn in range(100):
        watermarks.report(10 * turn + 10, turn)
        watermarks.reach(10 * turn)
        assert watermarks.since_s == turn
        assert watermarks.as_of_s == (turn - 1 if turn else None)
    for turn in range(100, 200):
        watermarks.report(10 * turn + 10, turn)
        watermarks.reach(1000)
    assert (watermarks.since_s, watermarks.as_of_s) == (100, 99)
    since_s = watermarks.since_s
    assert since_s is not None
    waiting = LaggingPartition(TP("ours", 0), 1000, since_s, in_transaction=True)
    assert [waiting.overdue(100 + PATIENCE_S), waiting.overdue(100.001 + PATIENCE_S)] == [False, True]
    assert waiting.reason(107.2).startswith("a transaction of ours-0 has been open at offset 1000 for 7 s")


def test_what_a_position_was_above_from_the_first_is_known_at_once() -> None:
    watermarks = HighWatermarks()
    watermarks.reach(5)
    assert watermarks.as_of_s is None
    watermarks.report(5, 3.0)
    watermarks.reach(5)
    assert (watermarks.since_s, watermarks.as_of_s) == (None, 3.0)


def test_a_log_that_was_cut_is_waited_for_no_further_than_it_goes() -> None:
    watermarks = HighWatermarks()
    for high_watermark, at_s in ((10, 1.0), (20, 2.0), (12, 3.0)):
        watermarks.report(high_watermark, at_s)
    watermarks.reach(11)
    assert (watermarks.since_s, watermarks.as_of_s) == (2.0, 1.0)
    watermarks.reach(12)
    assert (watermarks.since_s, watermarks.as_of_s) == (None, 3.0)


def test_reports_beyond_their_number_make_nothing_known_too_early_nor_forget_since_when() -> None:
    """Against all reports, stored for ever: never more is known than is true, and the wait never begins later."""
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        watermarks, reports = HighWatermarks(), list[tuple[int, float]]()
        end = position = 0
        at_s = 0.0
        for _ in range(400):
            at_s += rng.choice((0.0, 0.01, 0.3, 1.0))
            end += rng.choice((0, 0, 1, 5))
            if rng.random() < 0.1:
                position = rng.randint(position, end)
            watermarks.report(end, at_s)
            reports.append((end, at_s))
            watermarks.reach(position)
            first = bisect_right(reports, position, key=itemgetter(0))  # both ends and times only rise
            known = reports[first - 1][1] if first else None
            ahead = reports[first][1] if first < len(reports) else None
            assert watermarks.as_of_s is None or (known is not None and watermarks.as_of_s <= known)
            assert (watermarks.since_s is None) is (ahead is None)
            if ahead is not None:
                assert watermarks.since_s is not None
                assert watermarks.since_s <= ahead
            assert len(watermarks._ahead) <= _MOST
