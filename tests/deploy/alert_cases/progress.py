"""Cases of the alerts that say that records are not judged."""

from alert_cases.case import Cases, Fires, Quiet

MARK = 'callwarden_watermark_timestamp_seconds{{partition="{}"}}'
CLOCK = 'callwarden_clock_timestamp_seconds{{topic="{}",partition="{}"}}'
SILENT, QUIET = "callwarden_cdr_feed_silent_seconds", 'callwarden_silent_seconds{{topic="{}",instance="{}"}}'

CASES = {
    "CallwardenNoRecords": Cases(
        [
            Fires(
                {QUIET.format("cdr", "a"): "0+60x40", QUIET.format("findings", "a"): "600+60x40"},
                "25m",
                [({}, "15 分钟没有任何记录 / No record has arrived for 15 minutes")],
            )
        ],
        [  # of another worker's partitions, and of another topic
            Quiet({QUIET.format("cdr", "a"): "2000x40", QUIET.format("cdr", "b"): "5x40"}, "40m"),
            Quiet({QUIET.format("cdr", "a"): "2000x40", QUIET.format("findings", "a"): "5x40"}, "40m"),
        ],
    ),
    "CallwardenNoCalls": Cases(
        [
            Fires(
                {f'{SILENT}{{instance="a"}}': "2000x5", f'{SILENT}{{instance="b"}}': "1860x5"},
                "2m",
                [({}, "31m 0s 没有话单 / No call has arrived for 31m 0s")],
            )
        ],
        [Quiet({f'{SILENT}{{instance="a"}}': "2000x5", f'{SILENT}{{instance="b"}}': "3x5"}, "2m")],
    ),
    "CallwardenLagGrowing": Cases(
        [
            Fires(
                {
                    'callwarden_lag_records{topic="cdr",partition="0"}': "0+1000x40",
                    'callwarden_lag_records{topic="cdr",partition="1"}': "0+1000x40",
                },
                "30m",
                [
                    (
                        {"topic": "cdr"},
                        "cdr 积压 60k 条且在增长 / 60k records of cdr are not read yet, and the lag grows",
                    )
                ],
            )
        ],
        [
            Quiet({'callwarden_lag_records{topic="cdr"}': "90000-1000x40"}, "30m"),
            Quiet({'callwarden_lag_records{topic="cdr"}': "0+10x40"}, "30m"),
        ],
    ),
    "CallwardenWatermarkStuck": Cases(
        [
            Fires(
                {
                    MARK.format(0): "1000x60",
                    CLOCK.format("cdr", 0): "2000+60x60",
                    CLOCK.format("findings", 0): "1020x60",
                    MARK.format(1): "0+60x60",
                    CLOCK.format("cdr", 1): "2000+60x60",
                    CLOCK.format("findings", 1): "20+60x60",
                    MARK.format(2): "1000+1x60",
                    CLOCK.format("cdr", 2): "2000+60x60",
                    CLOCK.format("findings", 2): "1020+1x60",
                    SILENT: "0x60",
                },
                "30m",
                [
                    (
                        {"partition": number},
                        f"分区 {number} 的水位线 15 分钟内几乎未前进 / "
                        f"The watermark of partition {number} has barely advanced for 15 minutes",
                    )
                    for number in ("0", "2")
                ],
            )
        ],
        [
            Quiet({MARK.format(0): "1000x60", CLOCK.format("cdr", 0): "2000+60x60", SILENT: "700x60"}, "30m"),
            # A partition that is not running, which has an alert of its own, or an unavailable broker.
            Quiet({MARK.format(0): "1000x60", CLOCK.format("cdr", 0): "2000x60", SILENT: "0x60"}, "30m"),
        ],
    ),
    "CallwardenSourceBehind": Cases(
        [
            Fires(  # five hours behind, in batches, in one of its partitions; the others are current
                {
                    CLOCK.format("cdr", 0): "-18000+60x120",
                    CLOCK.format("cdr", 1): "0+60x120",
                    CLOCK.format("findings", 0): "-9000x4 -8400x9 -7800x9 -7200x9 -6600x9 -6000x9 -5400x9 -4800x9",
                    CLOCK.format("complaints", 0): "0+60x120",
                    SILENT: "5x120",
                },
                "70m",
                [
                    (
                        {"topic": "cdr"},
                        "cdr 的时间落后 5h 0m 0s 且未追上 / cdr is 5h 0m 0s behind the clock, and does not catch up",
                    ),
                    (
                        {"topic": "findings"},
                        "findings 的时间落后 2h 30m 0s 且未追上 / "
                        "findings is 2h 30m 0s behind the clock, and does not catch up",
                    ),
                ],
            ),
        ],
        [
            # A backlog is read, or sent after an outage, three times as fast as it arose.
            Quiet({CLOCK.format("cdr", 0): "-36000+180x120", SILENT: "5x120"}, "100m"),
            # A worker joined with a backlog, and has read it after a quarter of an hour.
            Quiet({CLOCK.format("cdr", 0): "_x10 -90000+6000x15 1500+60x90", SILENT: "5x120"}, "70m"),
            # Half an hour behind; five hours, and not for long yet.
            Quiet({CLOCK.format("cdr", 0): "-1800+60x120", SILENT: "5x120"}, "100m"),
            Quiet({CLOCK.format("cdr", 0): "-18000+60x120", SILENT: "5x120"}, "25m"),
            # Calls come in batches, once an hour.
            Quiet({CLOCK.format("cdr", 0): "0x59 3600x59 7200x59 10800x59", SILENT: "5x240"}, "175m"),
            # A stopped partition has another alert.
            Quiet({CLOCK.format("findings", 0): "-18000x120", SILENT: "5x120"}, "100m"),
            # No call arrives: the clock of calls is behind by the outage's grace period; then calls arrive again.
            Quiet({CLOCK.format("cdr", 0): "-14400+60x120", SILENT: "700+60x120"}, "100m"),
            Quiet(
                {CLOCK.format("cdr", 0): "-14400+60x100 -8400+600x14 6900+60x90", SILENT: "700+60x100 5x120"},
                "135m",
            ),
        ],
    ),
    "CallwardenTransactionsFailing": Cases(
        [
            Fires(
                {"callwarden_transactions_failed_total": "0+1x30"},
                "20m",
                [({}, "15 分钟内 15 个事务失败 / 15 transactions failed within 15 minutes")],
            )
        ],
        [Quiet({"callwarden_transactions_failed_total": "0x10 2x20"}, "20m")],
    ),
}
