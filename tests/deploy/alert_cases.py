"""When each alert on Callwarden's own health fires, and when it does not."""

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Fires:
    """Series, one value a minute unless given otherwise, and the alerts firing at ``at``: labels and
    summary of each.
    """

    series: Series
    at: str
    alerts: list[tuple[dict[str, str], str]]


@dataclass(frozen=True)
class Quiet:
    """Series at which the alert does not fire."""

    series: Series
    at: str
    interval: str = "1m"


@dataclass(frozen=True)
class Cases:
    """The test cases of an alert."""

    fires: list[Fires]
    quiet: list[Quiet]


DECIDED = 'callwarden_decisions_total{mode="enforce",transition="decided"}'
SHADOWED = 'callwarden_decisions_total{mode="shadow",transition="decided"}'
RUNNING = 'callwarden_partition{{phase="running",partition="{}",instance="{}"}}'
MARK = 'callwarden_watermark_timestamp_seconds{{partition="{}"}}'
FIRING, JUDGED = 'callwarden_alerts_firing{rule="r"}', 'callwarden_threshold_ratio_count{rule="r"}'
CLOCK = 'callwarden_clock_timestamp_seconds{{topic="{}",partition="{}"}}'
SILENT, QUIET = "callwarden_cdr_feed_silent_seconds", 'callwarden_silent_seconds{{topic="{}",instance="{}"}}'
ESCALATION = 'callwarden_escalation_tenants{{escalation="{}",kind="{}",missing="{}",instance="{}"}}'
OPEN = 'callwarden_consumer_open_transaction_seconds{{job="{}",topic="t",partition="{}"}}'

CASES = {
    "CallwardenTargetDown": Cases(
        [
            Fires(
                {'up{job="worker",instance="w"}': "1x15", 'up{job="billing",instance="b"}': "1 1 0x12"},
                "6m",
                [({"job": "billing", "instance": "b"}, "billing 无法采集 / billing at b cannot be scraped")],
            ),
            Fires(
                {'up{job="billing",instance="b"}': "1x15"},
                "6m",
                [({"job": "worker"}, "worker 无法采集 / worker cannot be scraped")],
            ),
        ],
        [
            Quiet({'up{job="worker",instance="w"}': "1 1 0 1x12", 'up{job="else"}': "0x15"}, "6m"),
        ],
    ),
    "CallwardenBrokerAway": Cases(
        [
            Fires(
                {'callwarden_broker_away{instance="w"}': "1x10", 'callwarden_broker_away{instance="v"}': "0x10"},
                "5m",
                [({"instance": "w"}, "w 连不上 Kafka / w cannot reach Kafka")],
            )
        ],
        [Quiet({'callwarden_broker_away{instance="w"}': "1 1 0 1 1 0 1 1"}, "7m")],
    ),
    "CallwardenTopicsChanged": Cases(
        [
            Fires(
                {'callwarden_topic_faults{instance="w"}': "0 0 1x10", 'callwarden_topic_faults{instance="v"}': "0x12"},
                "5m",
                [({}, "主题被删除或分区数被更改 / A topic was deleted, or its number of partitions changed")],
            )
        ],
        [Quiet({'callwarden_topic_faults{instance="w"}': "0x10"}, "7m")],
    ),
    "CallwardenOwnersUnreadable": Cases(
        [
            Fires(
                {
                    'callwarden_owners_unreadable_seconds{instance="w"}': "0+60x10",
                    'callwarden_owners_unreadable_seconds{instance="v"}': "0x10",
                },
                "6m",
                [({"instance": "w"}, "w 无法读取主体封禁主题 / w cannot read the bans of owners")],
            )
        ],
        [Quiet({'callwarden_owners_unreadable_seconds{instance="w"}': "0 60 120 0x10"}, "7m")],
    ),
    "CallwardenOwnersForeign": Cases(
        [
            Fires(
                {'callwarden_owner_bans_rejected_total{instance="w"}': "0x5 2x10"},
                "8m",
                [({}, "主体封禁主题里有无法识别的记录 / The topic of owners has records that are no bans")],
            )
        ],
        [Quiet({'callwarden_owner_bans_rejected_total{instance="w"}': "2x20"}, "18m")],
    ),
    "CallwardenHostClockOff": Cases(
        [
            Fires(
                {
                    'callwarden_host_clock_ahead_seconds{instance="w"}': "-7200x10",
                    'callwarden_host_clock_ahead_seconds{instance="v"}': "0.4x10",
                },
                "8m",
                [
                    (
                        {"instance": "w"},
                        "w 的主机时钟与 Kafka 相差 2h 0m 0s / The host's clock of w differs from Kafka's by 2h 0m 0s",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_host_clock_ahead_seconds{instance="w"}': "3 0x10"}, "8m")],
    ),
    "CallwardenIngestRefusing": Cases(
        [
            Fires(
                {
                    'callwarden_ingest_request_duration_seconds_count{instance="i",status="503"}': "0+1x30",
                    'callwarden_ingest_request_duration_seconds_count{instance="i",status="202"}': "0+9x30",
                    'callwarden_ingest_request_duration_seconds_count{instance="j",status="202"}': "0+9x30",
                },
                "12m",
                [({"instance": "i"}, "i 未能接收记录 / i cannot accept records")],
            )
        ],
        [
            Quiet({'callwarden_ingest_request_duration_seconds_count{instance="i",status="503"}': "0 3x30"}, "12m"),
            Quiet({'callwarden_ingest_request_duration_seconds_count{instance="i",status="409"}': "0+1x30"}, "12m"),
        ],
    ),
    "CallwardenFollowSourceAway": Cases(
        [
            Fires(
                {
                    'callwarden_follow_source_up{follower="pbx"}': "1 0x20",
                    'callwarden_follow_source_up{follower="acc"}': "1x20",
                },
                "8m",
                [({"follower": "pbx"}, "pbx 读不到其文件或数据表 / pbx cannot read its files or its table")],
            )
        ],
        [Quiet({'callwarden_follow_source_up{follower="pbx"}': "1 0 0 1x20"}, "12m")],
    ),
    "CallwardenFollowLoss": Cases(
        [
            Fires(
                {'callwarden_follow_losses_total{follower="pbx",reason="truncated"}': "0 0 1x20"},
                "10m",
                [
                    (
                        {"follower": "pbx", "reason": "truncated"},
                        "pbx 的文件在读完之前丢失 (truncated) / "
                        "A file of pbx was lost before it was read to its end (truncated)",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_follow_losses_total{follower="pbx",reason="truncated"}': "0x20"}, "10m")],
    ),
    "CallwardenFollowBehind": Cases(
        [
            Fires(
                {
                    'callwarden_follow_caught_up_timestamp_seconds{follower="pbx"}': "0x30",
                    'callwarden_follow_source_up{follower="pbx"}': "1x30",
                },
                "12m",
                [({"follower": "pbx"}, "pbx 落后 12m 0s / pbx is 12m 0s behind")],
            )
        ],
        [
            Quiet(
                {
                    'callwarden_follow_caught_up_timestamp_seconds{follower="pbx"}': "0x30",
                    'callwarden_follow_source_up{follower="pbx"}': "0x30",
                },
                "12m",
            )
        ],
    ),
    "CallwardenFollowRowsRejected": Cases(
        [
            Fires(
                {
                    'callwarden_follow_rows_total{follower="pbx",result="record"}': "0+90x60",
                    'callwarden_follow_rows_total{follower="pbx",result="rejected"}': "0+10x60",
                },
                "30m",
                [({"follower": "pbx"}, "pbx 有 10% 的行被拒绝 / 10% of the rows of pbx are rejected")],
            )
        ],
        [
            Quiet(
                {
                    'callwarden_follow_rows_total{follower="pbx",result="record"}': "0+99x60",
                    'callwarden_follow_rows_total{follower="pbx",result="rejected"}': "0+1x60",
                },
                "30m",
            )
        ],
    ),
    "CallwardenBridgePartitionNotRunning": Cases(
        [
            Fires(
                {
                    'callwarden_bridge_partitions{instance="i",phase="stopped"}': "1x30",
                    'callwarden_bridge_partitions{instance="i",phase="opening"}': "1x30",
                    'callwarden_bridge_partitions{instance="i",phase="running"}': "2x30",
                    'callwarden_bridge_partitions{instance="j",phase="running"}': "2x30",
                },
                "12m",
                [({"instance": "i"}, "i 有 2 个分区未在桥接 / i does not bridge 2 of its partitions")],
            )
        ],
        [Quiet({'callwarden_bridge_partitions{instance="i",phase="opening"}': "1 1 1 0x30"}, "12m")],
    ),
    "CallwardenIngestRecordsRejected": Cases(
        [
            Fires(
                {
                    'callwarden_ingest_records_total{token="acme",result="accepted"}': "0+90x60",
                    'callwarden_ingest_records_total{token="acme",result="rejected"}': "0+10x60",
                    'callwarden_ingest_records_total{token="good",result="accepted"}': "0+90x60",
                    'callwarden_ingest_records_total{token="good",result="rejected"}': "0+1x60",
                },
                "30m",
                [({"token": "acme"}, "acme 的记录有 10% 被拒绝 / 10% of the records of acme are rejected")],
            )
        ],
        [
            Quiet(
                {
                    'callwarden_ingest_records_total{token="acme",result="accepted"}': "0+99x60",
                    'callwarden_ingest_records_total{token="acme",result="rejected"}': "0+1x60",
                },
                "30m",
            )
        ],
    ),
    "CallwardenEventsNotAssembled": Cases(
        [
            Fires(
                {
                    'callwarden_assemble_partitions{instance="a",phase="opening"}': "1x30",
                    'callwarden_assemble_partitions{instance="a",phase="stopped"}': "1x30",
                    'callwarden_assemble_partitions{instance="a",phase="running"}': "2x30",
                },
                "12m",
                [({"instance": "a"}, "a 有 2 个事件分区未被处理 / a does not read 2 partitions of events")],
            )
        ],
        [
            Quiet({'callwarden_assemble_partitions{instance="a",phase="opening"}': "1x3 0x30"}, "12m"),
            Quiet({'callwarden_assemble_partitions{instance="a",phase="running"}': "4x30"}, "12m"),
        ],
    ),
    "CallwardenCallsNotAssembled": Cases(
        [
            Fires(
                {
                    'callwarden_assemble_calls_total{result="record"}': "0+90x60",
                    'callwarden_assemble_calls_total{result="incomplete"}': "0+10x60",
                },
                "30m",
                [({}, "10% 的通话无法由其事件合成 / 10% of the calls cannot be made of their events")],
            )
        ],
        [
            Quiet(
                {
                    'callwarden_assemble_calls_total{result="record"}': "0+90x60",
                    'callwarden_assemble_calls_total{result="internal_leg"}': "0+90x60",
                    'callwarden_assemble_calls_total{result="incomplete"}': "0+1x60",
                },
                "30m",
            )
        ],
    ),
    "CallwardenAgentFailing": Cases(
        [
            Fires(
                {
                    'callwarden_agent_failing{agent="crm",instance="w"}': "0 0 1x10",
                    'callwarden_agent_failing{agent="other",instance="w"}': "0x12",
                },
                "8m",
                [
                    (
                        {"agent": "crm", "instance": "w"},
                        "扩展代理 crm 在 w 上持续失败或无响应 / The agent crm keeps failing or hangs on w",
                    )
                ],
            ),
            Fires(
                {
                    'callwarden_agent_failing{agent="crm",instance="w"}': "0x30",
                    'callwarden_agent_batch_seconds{agent="crm",instance="w"}': "0+60x30",
                },
                "23m",
                [
                    (
                        {"agent": "crm", "instance": "w"},
                        "扩展代理 crm 在 w 上持续失败或无响应 / The agent crm keeps failing or hangs on w",
                    )
                ],
            ),
        ],
        [
            Quiet(
                {
                    'callwarden_agent_failing{agent="crm",instance="w"}': "0 1 1 1 0 1 1 0x10",
                    'callwarden_agent_batch_seconds{agent="crm",instance="w"}': "0 60 120 180 0 60 120 0x10",
                },
                "9m",
            ),
        ],
    ),
    "CallwardenHttpConnectionsRefused": Cases(
        [
            Fires(
                {
                    'callwarden_http_connections_refused_total{instance="b",job="billing",reason="limit"}': "0+1x20",
                    'callwarden_http_connections_refused_total{instance="w",job="worker",reason="limit"}': "0x20",
                },
                "12m",
                [
                    (
                        {"instance": "b", "job": "billing"},
                        "b 的 HTTP 连接数已达上限 / b is at its limit of HTTP connections",
                    )
                ],
            )
        ],
        [
            Quiet({'callwarden_http_connections_refused_total{instance="b",reason="limit"}': "0 3x20"}, "12m"),
            Quiet({'callwarden_http_connections_refused_total{instance="b",reason="deadline"}': "0+9x20"}, "12m"),
        ],
    ),
    "CallwardenPartitionNotRunning": Cases(
        [
            Fires(
                {
                    RUNNING.format(3, "a"): "1x10 0x20",
                    RUNNING.format(4, "a"): "1x10 stale",
                    RUNNING.format(4, "b"): "_x10 1x20",
                    RUNNING.format(5, "a"): "1x10 stale",
                },
                "20m",
                [
                    ({"partition": "3"}, "分区 3 无人处理 / No worker runs partition 3"),
                    ({"partition": "5"}, "分区 5 无人处理 / No worker runs partition 5"),
                ],
            )
        ],
        [Quiet({RUNNING.format(3, "a"): "1x10 0x3 1x10", RUNNING.format(3, "b"): "0x25"}, "20m")],
    ),
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
                        f"分区 {number} 的水位 15 分钟内几乎未前进 / "
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
    "CallwardenUnsignedReviews": Cases(
        [
            Fires(
                {
                    'callwarden_rejected_total{topic="reviews",reason="bad_signature",instance="a"}': "0x15 1x15",
                    'callwarden_rejected_total{topic="reviews",reason="unknown_decision",instance="a"}': "0x15 9x15",
                },
                "20m",
                [
                    (
                        {"reason": "bad_signature"},
                        "15 分钟内有 1 条复核没有有效签名 (bad_signature) / "
                        "1 reviews without a valid signature within 15 minutes (bad_signature)",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_rejected_total{topic="reviews",reason="unsigned_review"}': "3x30"}, "20m")],
    ),
    "CallwardenDeadLetters": Cases(
        [
            Fires(
                {
                    'callwarden_rejected_total{topic="cdr",reason="too_deep",instance="a"}': "0+2x30",
                    'callwarden_rejected_total{topic="cdr",reason="too_deep",instance="b"}': "0+2x30",
                },
                "20m",
                [
                    (
                        {"topic": "cdr", "reason": "too_deep"},
                        "15 分钟内 cdr 有 60 条记录被拒 (too_deep) / "
                        "60 records of cdr were rejected within 15 minutes (too_deep)",
                    )
                ],
            ),
            Fires(
                {'callwarden_rejected_total{topic="cdr",reason="batch_too_large"}': "0x15 1x15"},
                "20m",
                [
                    (
                        {"topic": "cdr", "reason": "batch_too_large"},
                        "15 分钟内 cdr 有 1 条记录被拒 (batch_too_large) / "
                        "1 records of cdr were rejected within 15 minutes (batch_too_large)",
                    )
                ],
            ),
        ],
        [Quiet({'callwarden_rejected_total{topic="cdr",reason="too_deep"}': "500+1x30"}, "20m")],
    ),
    "CallwardenDecisionFlood": Cases(
        [
            Fires(
                {DECIDED: "0x300 0+1x60", SHADOWED: "0x360"},
                "361m",
                [({}, "1 小时内 60 个处置决定 / 60 decisions within an hour")],
            )
        ],
        [
            Quiet({DECIDED: "0+60x180"}, "170h", "1h"),  # no more than in any hour of the week
            Quiet({DECIDED: "0x361", SHADOWED: "0x300 0+1x60"}, "361m"),
            Quiet({DECIDED: "0x330 0+1x30"}, "361m"),
        ],
    ),
    "CallwardenRuleTooBroad": Cases(
        [
            Fires(
                {
                    'callwarden_alerts_firing{rule="r",instance="a"}': "15x30",
                    'callwarden_alerts_firing{rule="r",instance="b"}': "15x30",
                    'callwarden_threshold_ratio_count{rule="r"}': "100x30",
                },
                "20m",
                [({"rule": "r"}, "规则 r 同时对 30 个租户告警 / The rule r fires for 30 tenants at once")],
            )
        ],
        [
            Quiet(
                {'callwarden_alerts_firing{rule="r"}': "30x30", 'callwarden_threshold_ratio_count{rule="r"}': "900x30"},
                "20m",
            ),
            Quiet(
                {'callwarden_alerts_firing{rule="r"}': "10x30", 'callwarden_threshold_ratio_count{rule="r"}': "12x30"},
                "20m",
            ),
        ],
    ),
    "CallwardenReviewsDue": Cases(
        [
            Fires(
                {
                    'callwarden_pending_review_by_timestamp_seconds{rule="r",instance="a"}': "7260x5",
                    'callwarden_pending_review_by_timestamp_seconds{rule="r",instance="b"}': "99999x5",
                },
                "1m",
                [
                    (
                        {"rule": "r"},
                        "规则 r 的待复核决定 2h 0m 0s 后失效 / A pending decision of r lapses in 2h 0m 0s",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_pending_review_by_timestamp_seconds{rule="r"}': "90000x5"}, "1m")],
    ),
    "CallwardenOneViolationFromTermination": Cases(
        [
            Fires(
                {
                    ESCALATION.format("strikes", "termination", 1, "a"): "0 0 2x20",
                    ESCALATION.format("strikes", "termination", 1, "b"): "1x22",
                    ESCALATION.format("strikes", "termination", 2, "a"): "7x22",
                    ESCALATION.format("more", "ban", 1, "a"): "0x22",
                },
                "8m",
                [
                    (
                        {"escalation": "strikes", "kind": "termination"},
                        "再有一次违规即触发 strikes (termination) 的租户：3 / "
                        "Tenants one violation from strikes (termination): 3",
                    )
                ],
            ),
            Fires(
                {ESCALATION.format("more", "ban", 1, "a"): "1x22"},
                "6m",
                [
                    (
                        {"escalation": "more", "kind": "ban"},
                        "再有一次违规即触发 more (ban) 的租户：1 / Tenants one violation from more (ban): 1",
                    )
                ],
            ),
        ],
        [
            Quiet({ESCALATION.format("strikes", "termination", 2, "a"): "7x22"}, "10m"),
            Quiet({ESCALATION.format("strikes", "termination", 1, "a"): "1 1 1 0x20"}, "10m"),
        ],
    ),
    "CallwardenTenantsLeftOut": Cases(
        [
            Fires(
                {'callwarden_tenant_pairs_left_out{instance="a"}': "5x60"},
                "40m",
                [
                    (
                        {"instance": "a"},
                        "5 对租户与规则接近阈值但未展示 / "
                        "5 pairs of tenant and rule are near a threshold and not shown",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_tenant_pairs_left_out{instance="a"}': "5x20 0 5x40"}, "40m")],
    ),
    "CallwardenConsumerBehind": Cases(
        [
            Fires(
                {
                    'callwarden_consumer_as_of_timestamp_seconds{job="billing"}': "0x30",
                    'up{job="billing"}': "1x30",
                    'callwarden_consumer_lag_records{job="ledger"}': "50x30",
                    'up{job="ledger"}': "1x30",
                    'up{job="notify",instance="a"}': "1x30",  # which has not even read the topics
                    'up{job="notify",instance="b"}': "1x30",
                },
                "15m",
                [
                    ({"job": "billing"}, "billing 落后 / billing is behind the decisions"),
                    ({"job": "ledger"}, "ledger 落后 / ledger is behind the decisions"),
                    ({"job": "notify"}, "notify 落后 / notify is behind the decisions"),
                ],
            )
        ],
        [
            Quiet(
                {
                    'callwarden_consumer_as_of_timestamp_seconds{job="billing"}': "0+60x30",
                    'callwarden_consumer_lag_records{job="billing"}': "50x30",
                    'up{job="billing"}': "1x30",
                    'up{job="worker"}': "1x30",
                },
                "15m",
            ),
            # It has just started; and a process that is down has an alert of its own.
            Quiet({'up{job="ledger"}': "0x12 1x20", 'up{job="notify"}': "0x30"}, "15m"),
        ],
    ),
    "CallwardenTransactionOpen": Cases(
        [
            Fires(
                {
                    OPEN.format("billing", 3): "0x10 0+60x10",
                    OPEN.format("ledger", 3): "0x10 0+60x10",
                    OPEN.format("ledger", 4): "0x30",
                },
                "13m",
                [
                    (
                        {"topic": "t", "partition": "3"},
                        "t-3 有事务 2m 0s 未结束 / A transaction of t-3 has been open for 2m 0s",
                    )
                ],
            )
        ],
        [Quiet({OPEN.format("billing", 3): "0 50 0 60 0 12x20"}, "20m")],
    ),
    "CallwardenRecordsUnreadable": Cases(
        [
            Fires(
                {
                    'callwarden_billing_rejected_records{job="billing"}': "0x20 3x60",
                    'callwarden_ledger_unreadable_total{job="ledger"}': "0x20 3x60",
                    'callwarden_notify_rejected_total{job="notify"}': "0x20 3x60",
                    'callwarden_console_rejected_total{job="console"}': "0x20 3x60",
                },
                "70m",
                [
                    ({"job": job}, f"{job} 读不懂我们的 3 条记录 / {job} cannot read 3 records of Callwarden's topics")
                    for job in ("billing", "ledger", "notify", "console")
                ],
            ),
            Fires(  # counted before Prometheus scraped for the first time
                {
                    'callwarden_ledger_unreadable_total{job="ledger",topic="t"}': "_x20 3x60",
                    'callwarden_ledger_unreadable_total{job="ledger",topic="u"}': "_x20 0x60",
                    'callwarden_notify_rejected_total{job="notify"}': "_x20 3x60",
                    'callwarden_console_rejected_total{job="console"}': "_x20 3x60",
                },
                "30m",
                [
                    ({"job": job}, f"{job} 读不懂我们的 3 条记录 / {job} cannot read 3 records of Callwarden's topics")
                    for job in ("ledger", "notify", "console")
                ],
            ),
        ],
        [
            Quiet(
                {
                    'callwarden_billing_rejected_records{job="billing"}': "3x80",
                    'callwarden_ledger_unreadable_total{job="ledger"}': "3x80",
                    'callwarden_notify_rejected_total{job="notify"}': "3x80",
                    'callwarden_console_rejected_total{job="console"}': "3x80",
                },
                "70m",
            )
        ],
    ),
    "CallwardenRefundsWithheld": Cases(
        [
            Fires(
                {'callwarden_billing_unread_records{job="billing",instance="a"}': "0 3x200"},
                "180m",
                [
                    (
                        {"job": "billing"},
                        "3 条决定无法读取，相关租户的退款查询没有答案 / "
                        "3 decisions cannot be read, and refund queries about their tenants get no answer",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_billing_unread_records{job="billing",instance="a"}': "3x5 0x20"}, "10m")],
    ),
    "CallwardenOutboxStuck": Cases(
        [
            Fires(
                {'callwarden_notify_oldest_waiting_seconds{channel="dingtalk"}': "0+60x40"},
                "30m",
                [
                    (
                        {"channel": "dingtalk"},
                        "dingtalk 的通知已等待 30m 0s / A message to dingtalk has waited for 30m 0s",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_notify_oldest_waiting_seconds{channel="dingtalk"}': "300x40"}, "30m")],
    ),
    "CallwardenMessagesGivenUp": Cases(
        [
            Fires(
                {'callwarden_notify_given_up_total{channel="feishu"}': "0x20 2x60"},
                "70m",
                [({"channel": "feishu"}, "feishu 有 2 条通知未能送达 / 2 messages to feishu failed permanently")],
            )
        ],
        [Quiet({'callwarden_notify_given_up_total{channel="feishu"}': "2x80"}, "70m")],
    ),
    "CallwardenWatchdog": Cases(
        [Fires({}, "5m", [({}, "告警链路正常 / Prometheus evaluates these rules and reaches Alertmanager")])],
        [],  # it always fires
    ),
    "CallwardenLateCalls": Cases(
        [
            Fires(
                {
                    'callwarden_late_total{instance="a"}': "0+10x90",
                    'callwarden_records_total{instance="a"}': "0+100x90",
                },
                "90m",
                [
                    (
                        {},
                        "1 小时内 600 条话单迟到而未计入 / 600 calls arrived late within an hour and are in no window",
                    )
                ],
            )
        ],
        [
            Quiet({"callwarden_late_total": "0+4x90", "callwarden_records_total": "0+100x90"}, "90m"),
            Quiet({"callwarden_late_total": "0+1x90", "callwarden_records_total": "0+1x90"}, "90m"),
        ],
    ),
    "CallwardenHeadsNotPublished": Cases(
        [
            Fires(
                {"callwarden_ledger_heads_published_timestamp_seconds": "0x1700"},
                "1620m",
                [({}, "账本链头已 1d 3h 0m 0s 未公布 / The heads of the ledger were last published 1d 3h 0m 0s ago")],
            )
        ],
        [Quiet({"callwarden_ledger_heads_published_timestamp_seconds": "0x1440 86400x200"}, "1620m")],
    ),
    "CallwardenGapsAccepted": Cases(
        [
            Fires(
                {'callwarden_billing_accepted_gaps{job="billing"}': "1x720 3x720"},
                "1440m",
                [
                    (
                        {"job": "billing"},
                        "24 小时内有 2 段丢失的决定被接受 / 2 gaps of lost decisions were accepted within a day",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_billing_accepted_gaps{job="billing"}': "3x1500"}, "1440m")],
    ),
    "CallwardenNotificationsLost": Cases(
        [
            Fires(
                {'callwarden_notify_lost_total{job="notify"}': series},
                at,
                [
                    (
                        {"job": "notify"},
                        "通知之前有记录已被删除 / Records were deleted before the notifier had read them",
                    )
                ],
            )
            for series, at in (("0x20 1x60", "70m"), ("_x20 1x60", "30m"))
        ],
        [Quiet({'callwarden_notify_lost_total{job="notify"}': "2x80"}, "70m")],
    ),
    "CallwardenConsoleOutboxStuck": Cases(
        [
            Fires(
                {'callwarden_console_outbox_oldest_seconds{job="console"}': "0+60x40"},
                "30m",
                [
                    (
                        {"job": "console"},
                        "控制台的结论已等待 30m 0s / A verdict of the console has waited for 30m 0s",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_console_outbox_oldest_seconds{job="console"}': "200x40"}, "30m")],
    ),
    "CallwardenConsoleRecordsLost": Cases(
        [
            Fires(
                {'callwarden_console_lost_total{job="console"}': series},
                at,
                [
                    (
                        {"job": "console"},
                        "控制台读取之前有记录已被删除 / Records were deleted before the console had read them",
                    )
                ],
            )
            for series, at in (("0x20 1x60", "70m"), ("_x20 1x60", "30m"))
        ],
        [Quiet({'callwarden_console_lost_total{job="console"}': "2x80"}, "70m")],
    ),
    "CallwardenMessagesSetAside": Cases(
        [
            Fires(
                {'callwarden_notify_set_aside_messages{channel="webhook"}': "0x5 2x60"},
                "40m",
                [
                    (
                        {"channel": "webhook"},
                        "webhook 有 2 条通知被单独搁置 / 2 messages to webhook are set aside",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_notify_set_aside_messages{channel="webhook"}': "0 2x20 0x20"}, "40m")],
    ),
}
