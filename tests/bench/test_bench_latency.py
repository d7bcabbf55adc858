"""Latencies count from the record that made the answer possible, and an unanswered probe is reported."""

import pytest

from bench.latency import NoAnswerError, latencies
from bench.load import Clocks
from monitor.decoding.input_topics import INPUTS

PANE_S = 300.0
SOURCES = range(len(INPUTS))


def test_a_time_has_passed_when_the_last_source_is_past_it() -> None:
    clocks = Clocks()
    for source in SOURCES:
        clocks.note(source, 0, 1_000, 10.0 + source)
        clocks.note(source, 0, 2_000, 20.0 - source)
    assert clocks.passed_s(0, 999) == 10.0 + SOURCES[-1]
    assert clocks.passed_s(0, 1_000) == 20.0


def test_a_time_that_one_source_never_passed_has_not_passed() -> None:
    clocks = Clocks()
    for source in SOURCES[:-1]:
        clocks.note(source, 0, 2_000, 10.0)
    clocks.note(SOURCES[-1], 1, 2_000, 10.0)  # another partition's clock
    assert clocks.passed_s(0, 1_000) is None


def test_latencies_are_given_for_all_probes_and_for_those_far_from_a_pane_closing() -> None:
    sent_s = {"near": PANE_S + 35, "steady": PANE_S + 100, "steady too": PANE_S + 200}
    found = latencies(
        "alert", sent_s, {"near": PANE_S + 39, "steady": PANE_S + 101, "steady too": PANE_S + 203}, 10_000
    )
    assert found["probes"] == 3
    assert found["all"] == {"count": 3, "p50": 3.0, "p99": pytest.approx(3.98), "max": 4.0}
    assert found["between_closings"] == {"count": 2, "p50": 2.0, "p99": pytest.approx(2.98), "max": 3.0}


def test_a_probe_that_was_never_answered_is_named() -> None:
    with pytest.raises(NoAnswerError, match=r"1 of 2 probes .* enforcement: lost"):
        latencies("enforcement", {"seen": 1.0, "lost": 2.0}, {"seen": 1.5}, 10_000)
