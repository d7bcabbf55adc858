"""Cases of the alerts that say that consumers of decisions fall behind or lose records."""

from alert_cases.case import Cases, Fires, Quiet

OPEN = 'callwarden_consumer_open_transaction_seconds{{job="{}",topic="t",partition="{}"}}'

CASES = {
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
                    (
                        {"job": job},
                        f"{job} 无法读取 Callwarden 主题中的 3 条记录 / "
                        f"{job} cannot read 3 records of Callwarden's topics",
                    )
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
                    (
                        {"job": job},
                        f"{job} 无法读取 Callwarden 主题中的 3 条记录 / "
                        f"{job} cannot read 3 records of Callwarden's topics",
                    )
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
    "CallwardenHeadsNotPublished": Cases(
        [
            Fires(
                {"callwarden_ledger_heads_published_timestamp_seconds": "0x1700"},
                "1620m",
                [({}, "台账链头已 1d 3h 0m 0s 未公布 / The heads of the ledger were last published 1d 3h 0m 0s ago")],
            )
        ],
        [Quiet({"callwarden_ledger_heads_published_timestamp_seconds": "0x1440 86400x200"}, "1620m")],
    ),
    "CallwardenLedgerDiffers": Cases(
        [
            Fires(
                {"callwarden_ledger_verified_differences": "3x5"},
                "2m",
                [({}, "核对台账发现 3 处不符 / The last verification of the ledger found 3 differences")],
            )
        ],
        [Quiet({"callwarden_ledger_verified_differences": "3x1 0x5"}, "4m")],
    ),
    "CallwardenGapsAccepted": Cases(
        [
            Fires(
                {'callwarden_billing_accepted_gaps{job="billing"}': "1x720 3x720"},
                "1440m",
                [
                    (
                        {"job": "billing"},
                        "24 小时内接受了 2 段决定的丢失 / 2 gaps of lost decisions were accepted within a day",
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
                        "通知进程读取之前有记录已被删除 / Records were deleted before the notifier had read them",
                    )
                ],
            )
            for series, at in (("0x20 1x60", "70m"), ("_x20 1x60", "30m"))
        ],
        [Quiet({'callwarden_notify_lost_total{job="notify"}': "2x80"}, "70m")],
    ),
    "CallwardenConsoleEvidenceLate": Cases(
        [
            Fires(
                {'callwarden_console_evidence_oldest_seconds{job="console"}': "0+60x40"},
                "30m",
                [
                    (
                        {"job": "console"},
                        "决定所列的记录已有 30m 0s 未能读取 / "
                        "Records that decisions name have waited for 30m 0s to be fetched",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_console_evidence_oldest_seconds{job="console"}': "500x40"}, "30m")],
    ),
    "CallwardenConsoleSignInsFailing": Cases(
        [
            Fires(
                {'callwarden_console_failed_sign_ins_total{job="console"}': "0+4x40"},
                "30m",
                [
                    (
                        {"job": "console"},
                        "控制台 15 分钟内有 60 次登录失败 / 60 sign-ins to the console failed within 15 minutes",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_console_failed_sign_ins_total{job="console"}': "0+3x40"}, "30m")],
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
                        "webhook 有 2 条通知被暂缓 / 2 messages to webhook are set aside",
                    )
                ],
            )
        ],
        [Quiet({'callwarden_notify_set_aside_messages{channel="webhook"}': "0 2x20 0x20"}, "40m")],
    ),
}
