"""Cases of the alerts that say that a program or a topic is away."""

from alert_cases.case import Cases, Fires, Quiet

RUNNING = 'callwarden_partition{{phase="running",partition="{}",instance="{}"}}'

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
                        "扩展 agent crm 在 w 上持续失败或无响应 / The agent crm keeps failing or hangs on w",
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
                        "扩展 agent crm 在 w 上持续失败或无响应 / The agent crm keeps failing or hangs on w",
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
    "CallwardenAgentRecordsLost": Cases(
        [
            Fires(
                {
                    'callwarden_agent_lost_total{agent="crm",instance="w"}': series,
                    'callwarden_agent_lost_total{agent="other",instance="w"}': "0x80",
                },
                at,
                [
                    (
                        {"agent": "crm"},
                        "扩展 agent crm 收到之前有记录已被删除 / "
                        "Records were deleted before the agent crm had received them",
                    )
                ],
            )
            for series, at in (("0x20 1x60", "70m"), ("_x20 1x60", "30m"))
        ],
        [Quiet({'callwarden_agent_lost_total{agent="crm",instance="w"}': "2x80"}, "70m")],
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
    "CallwardenWatchdog": Cases(
        [Fires({}, "5m", [({}, "告警链路正常 / Prometheus evaluates these rules and reaches Alertmanager")])],
        [],  # it always fires
    ),
}
