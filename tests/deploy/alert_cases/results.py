"""Cases of the alerts that say that results are implausible."""

from alert_cases.case import Cases, Fires, Quiet

DECIDED = 'callwarden_decisions_total{mode="enforce",transition="decided"}'
SHADOWED = 'callwarden_decisions_total{mode="shadow",transition="decided"}'
ESCALATION = 'callwarden_escalation_tenants{{escalation="{}",kind="{}",missing="{}",instance="{}"}}'

CASES = {
    "CallwardenFollowLoss": Cases(
        [
            Fires(
                {'callwarden_follow_losses_total{follower="pbx",reason="truncated"}': "0 0 1x20"},
                "10m",
                [
                    (
                        {"follower": "pbx", "reason": "truncated"},
                        "pbx 的文件或表在读完之前丢失 (truncated) / "
                        "A file or table of pbx was lost before it was read to its end (truncated)",
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
                [({"follower": "pbx"}, "pbx 有 10% 的行被拒收 / 10% of the rows of pbx are rejected")],
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
                [({"token": "acme"}, "acme 的记录有 10% 被拒收 / 10% of the records of acme are rejected")],
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
    "CallwardenReviewKeysDiffer": Cases(
        [
            Fires(
                {
                    'callwarden_review_keys{job="worker",partition="0",keys="aa"}': "2x40",
                    'callwarden_review_keys{job="worker",partition="1",keys="bb"}': "2x40",
                },
                "30m",
                [({"job": "worker"}, "各分区使用 2 组不同的复核密钥 / 2 different sets of review keys are in force")],
            )
        ],
        [
            Quiet(
                {
                    'callwarden_review_keys{job="worker",partition="0",keys="aa"}': "2x40",
                    'callwarden_review_keys{job="worker",partition="1",keys="aa"}': "2x40",
                },
                "30m",
            )
        ],
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
                        "15 分钟内 cdr 有 60 条记录被拒收 (too_deep) / "
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
                        "15 分钟内 cdr 有 1 条记录被拒收 (batch_too_large) / "
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
                [({"rule": "r"}, "规则 r 同时对 30 个租户预警 / The rule r fires for 30 tenants at once")],
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
}
