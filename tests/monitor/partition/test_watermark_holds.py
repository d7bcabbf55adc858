"""What holds a watermark back is named: the right source, the right reason, and nothing where nothing does."""

import pytest

from monitor.partition.watermark_holds import (
    HoldReason,
    SourceState,
    WatermarkHold,
    held_by,
    open_transaction,
    sentence,
)

NOW, MINUTE, HOUR = 1_772_452_800_000, 60_000, 3_600_000
PRESENT = SourceState(NOW, silent=True, unread=0)


def held(calls: SourceState, *others: SourceState, last_ms: int = NOW) -> WatermarkHold | None:
    return held_by([calls, *others], NOW, 30_000, 10 * MINUTE, 4 * HOUR, last_ms)


def test_silent_calls_wait_for_the_grace_while_something_waits() -> None:
    away = SourceState(NOW - 4 * HOUR, silent=True, unread=0)
    last_ms = NOW - HOUR
    until_ms = last_ms + 10 * MINUTE + 4 * HOUR
    assert held(away, PRESENT, last_ms=last_ms) == WatermarkHold(0, HoldReason.OUTAGE_GRACE, NOW - 4 * HOUR, until_ms)
    assert held(away, PRESENT, last_ms=NOW - 5 * HOUR) is None, "all is decided"
    assert held(away, PRESENT, last_ms=0) is None, "nothing was read"


def test_the_source_whose_clock_is_least_is_the_one() -> None:
    late = SourceState(NOW - HOUR, silent=False, unread=0)
    assert held(PRESENT, PRESENT, late, SourceState(NOW - MINUTE, silent=False, unread=9)) == WatermarkHold(
        2, HoldReason.OLD_RECORDS, NOW - HOUR
    )
    assert held(PRESENT, SourceState(NOW - 2 * HOUR, silent=False, unread=7), late) == WatermarkHold(
        1, HoldReason.UNREAD, NOW - 2 * HOUR
    )


@pytest.mark.parametrize("silent", [True, False])
def test_normal_waits_are_not_reported(silent: bool) -> None:
    assert held(SourceState(NOW - 2 * MINUTE, silent, unread=5), PRESENT) is None
    assert held(PRESENT, SourceState(NOW - HOUR, silent=True, unread=0)) is None, "its clock is about to move"


def test_each_sentence_has_its_partition_and_its_command() -> None:
    grace = sentence(WatermarkHold(0, HoldReason.OUTAGE_GRACE, NOW - 4 * HOUR, NOW), "callwarden.cdr", 3, NOW)
    assert grace.startswith("partition 3: no calls arrive in any partition")
    assert "until 2026-03-02T12:00:00" in grace
    assert grace.endswith("callwarden end-outage --reason WHY")
    old = sentence(WatermarkHold(1, HoldReason.OLD_RECORDS, NOW), "callwarden.complaints", 3, NOW)
    assert "callwarden.complaints holds decisions back: its clock is at 2026-03-02T12:00:00" in old
    assert "from the beginning" not in old
    assert "the beginning" in sentence(WatermarkHold(1, HoldReason.UNREAD, 0), "callwarden.complaints", 3, NOW)
    assert open_transaction("callwarden.cdr", 3, 17, NOW).endswith(
        "abort --topic callwarden.cdr --partition 3 --start-offset 17"
    )
