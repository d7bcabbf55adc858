"""A silent source's clock follows broker time only where no record can be outstanding."""

from monitor.partition.idleness import QuietSource, ReadProgress, SilentSources, clock_ms, feed_is_current


def looked(silence: SilentSources[str], ends: list[tuple[int, int]]) -> SilentSources[str]:
    for at_ms, end in ends:
        silence.observe(at_ms, {"log": end})
    return silence


def test_a_log_is_silent_after_its_time_and_only_when_read_to_its_end() -> None:
    silence = looked(SilentSources(30_000), [(at_ms, 7) for at_ms in range(0, 30_000, 5_000)])
    assert not silence.silent("log", ReadProgress(7, 7))
    silence.observe(30_000, {"log": 7})
    assert silence.silent("log", ReadProgress(7, 7))
    assert not silence.silent("log", ReadProgress(6, 6))
    assert not silence.silent("log", ReadProgress(8, 8)), "a valid record has come and was read since the look"
    assert silence.silent("log", ReadProgress(8, 7)), "what has come since is rejected"
    assert not silence.silent("another", ReadProgress(0, 0))


def test_a_record_restarts_the_wait() -> None:
    silence = looked(SilentSources(30_000), [(at_ms, 7 if at_ms < 20_000 else 8) for at_ms in range(0, 45_001, 5_000)])
    assert silence.quiet("log") == QuietSource(25_000, 0)
    assert not silence.silent("log", ReadProgress(8, 8))


def test_a_log_that_grows_by_rejected_records_is_silent() -> None:
    """With a ping every 29 s, and with one before each check."""
    pings = [(at_ms, 7 + at_ms // 29_000) for at_ms in range(0, 600_001, 5_000)]
    silence = looked(SilentSources(30_000), pings)
    assert silence.quiet("log", ReadProgress(27, 7)) == QuietSource(600_000, 0)
    assert silence.quiet("log", ReadProgress(27, 27)).for_ms < 30_000, "one of the last was valid"
    flood = looked(SilentSources(30_000), [(at_ms, 7 + at_ms) for at_ms in range(0, 600_001, 5_000)])
    assert flood.quiet("log", ReadProgress(600_007, 7)) == QuietSource(600_000, 0)


def test_a_log_that_grows_faster_than_it_is_read_is_silent_up_to_where_it_was_read() -> None:
    silence = looked(SilentSources(30_000), [(at_ms, 7 + at_ms) for at_ms in range(0, 60_001, 5_000)])
    assert silence.quiet("log", ReadProgress(50_100, 7)) == QuietSource(50_000, 10_000)
    assert silence.quiet("log", ReadProgress(50_100, 30_000)) == QuietSource(20_000, 10_000)
    assert not silence.silent("log", ReadProgress(20_000, 7)), "too far behind"


def test_observations_of_a_log_that_always_grows_take_no_memory() -> None:
    silence = looked(SilentSources(30_000), [(at_ms, 7 + at_ms) for at_ms in range(0, 5_000_001, 5_000)])
    assert len(silence._seen["log"]) < 100
    assert silence.silent("log", ReadProgress(5_000_007, 7))
    assert silence.quiet("log", ReadProgress(5_000_007, 4_970_000)) == QuietSource(30_000, 0)


def test_a_log_that_could_not_be_observed_is_not_silent() -> None:
    silence = looked(SilentSources(30_000), [(at_ms, 7) for at_ms in range(0, 30_001, 5_000)])
    silence.blind()
    assert not silence.silent("log", ReadProgress(7, 7))
    silence.observe(35_000, {"log": 7})
    assert not silence.silent("log", ReadProgress(7, 7))


def test_a_gap_between_observations_is_not_silence() -> None:
    """A process that was stopped for three hours finds everything unchanged, which says nothing about the source."""
    silence = looked(SilentSources(30_000), [(at_ms, 7) for at_ms in range(0, 30_001, 5_000)])
    silence.observe(10_800_000, {"log": 7})
    assert not silence.silent("log", ReadProgress(7, 7))
    assert silence.quiet("log") == QuietSource(0, 0)


def test_calls_wait_for_the_grace_while_their_feed_may_be_away() -> None:
    now_ms, grace_ms = 1_000_000_000, 14_400_000
    assert clock_ms("complaints", now_ms, grace_ms, False) == now_ms
    assert clock_ms("cdr", now_ms, grace_ms, False) == now_ms - grace_ms
    assert clock_ms("cdr", now_ms, grace_ms, True) == now_ms


def test_a_feed_that_brings_its_backlog_is_not_current() -> None:
    now_ms, lateness_ms = 1_000_000_000, 600_000
    assert not feed_is_current([], now_ms, lateness_ms)
    assert feed_is_current([now_ms - 600_000, now_ms], now_ms, lateness_ms)
    assert not feed_is_current([now_ms, now_ms - 600_001], now_ms, lateness_ms)
    assert not feed_is_current([now_ms, None], now_ms, lateness_ms)
