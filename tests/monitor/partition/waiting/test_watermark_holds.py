"""What holds a watermark back is named: the right source, the right reason, and nothing where nothing does."""

import pytest

from monitor.partition.waiting.decision_times import DecisionForecast, DecisionTime, WaitCause
from monitor.partition.waiting.watermark_holds import (
    HoldReason,
    SourceState,
    WatermarkHold,
    held_by,
    open_transaction,
    outage_grace,
    sentence,
)

NOW, MINUTE, HOUR = 1_772_452_800_000, 60_000, 3_600_000
PRESENT = SourceState(NOW, silent=True, unread=0)


def held(calls: SourceState, *others: SourceState) -> WatermarkHold | None:
    return held_by([calls, *others], NOW, 30_000)


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
    assert held(SourceState(NOW - 4 * HOUR, silent=True, unread=0), PRESENT) is None, "it waits for the grace"


def grace(at_ms: int, cause: WaitCause = WaitCause.OUTAGE_GRACE) -> DecisionTime:
    return DecisionTime(NOW, at_ms, 0, cause)


def test_each_sentence_has_its_partition_and_its_command() -> None:
    said = outage_grace(DecisionForecast(grace(NOW + HOUR), {300_000: grace(NOW + 2 * HOUR)}), 3)
    assert said == (
        "partition 3: no calls arrive in any partition, and decisions wait for calls that may be missing: complaints "
        "and other records up to 2026-03-02T12:00:00.000Z are decided at 2026-03-02T13:00:00.000Z, windows with the "
        "newest calls are evaluated at 2026-03-02T14:00:00.000Z, if no more calls come; if no calls are missing: "
        "callwarden end-outage --reason WHY"
    )
    steps = {300_000: grace(NOW + HOUR), HOUR: grace(NOW + 2 * HOUR)}
    assert (
        "windows with the newest calls are evaluated from 2026-03-02T13:00:00.000Z (rules with a step of 5m) to "
        "2026-03-02T14:00:00.000Z (1h), if no more" in str(outage_grace(DecisionForecast(None, steps), 3))
    )
    old = sentence(WatermarkHold(1, HoldReason.OLD_RECORDS, NOW), "callwarden.complaints", 3, NOW)
    assert "callwarden.complaints holds decisions back: its clock is at 2026-03-02T12:00:00" in old
    assert "from the beginning" not in old
    assert "the beginning" in sentence(WatermarkHold(1, HoldReason.UNREAD, 0), "callwarden.complaints", 3, NOW)
    assert open_transaction("callwarden.cdr", 3, 17, NOW).endswith(
        "abort --topic callwarden.cdr --partition 3 --start-offset 17"
    )


@pytest.mark.parametrize("cause", [WaitCause.LATENESS, WaitCause.SILENCE, WaitCause.UNREAD])
def test_what_does_not_wait_for_the_grace_is_not_reported_as_if_it_did(cause: WaitCause) -> None:
    assert outage_grace(DecisionForecast(grace(NOW, cause), {}), 3) is None
    assert outage_grace(DecisionForecast(None, {}), 3) is None
