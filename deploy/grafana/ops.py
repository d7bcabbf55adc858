"""The operations dashboard: tenants near a threshold, decisions and their outcomes, the health of Callwarden."""

from collections.abc import Iterator
from typing import Any

import panels
from panels import NONE_IS_WELL, ONE_IS_WELL, Query, Words

UID = "callwarden-ops"
TITLE = Words("呼叫守望 · 运营", "Callwarden, operations")
ABOUT = Words(
    "谁接近阈值，作出了哪些决定，监控本身是否正常。",
    "Tenants near a threshold, decisions and their outcomes, the health of Callwarden.",
)

_DECIDED = 'callwarden_decisions_total{mode!="shadow", kind!="admission_review", transition=~"decided|referred"}'
_RULE = 'rule=~"$rule"'
TENANT_LINK = "/d/callwarden-tenant?var-datasource=${datasource}&var-tenant=${__data.fields.tenant}&${__url_time_range}"


def variables() -> list[Any]:
    """The variables of the dashboard."""
    rule = panels.label_variable("rule", Words("规则", "Rule"), "callwarden_threshold_ratio_count", several=True)
    return [panels.source_variable(), rule]


def sections() -> Iterator[tuple[Words, list[Any]]]:
    """The rows, each with its panels."""
    yield Words("接近阈值的租户", "Tenants near a threshold"), _near()
    yield Words("接近升级的租户", "Tenants near an escalation"), _escalating()
    yield Words("决定", "Decisions"), _decided()
    yield Words("运行状况", "Worker health"), _well()
    yield Words("依赖它的系统", "Consumers"), _consumers()


def _beyond(share: str, by: str = "") -> str:
    """The pairs above a bucket's upper end, from the histogram: the tenants' own series omit some."""
    everybody = f"sum{by} (callwarden_threshold_ratio_count{{{_RULE}}})"
    return f'{everybody} - sum{by} (callwarden_threshold_ratio_bucket{{{_RULE}, le="{share}"}})'


def _near() -> list[Any]:
    return [
        panels.number(
            Words("超过阈值", "Pairs over a threshold"),
            Words(
                "租户与规则对，规则的全部条件都满足；含未逐一展示者。",
                "Pairs of tenant and rule for which all conditions hold, including pairs not shown by name.",
            ),
            Query(_beyond("1.0")),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("接近阈值", "Pairs near a threshold"),
            Words(
                "租户与规则对，超过阈值的 80 %；含未逐一展示者。",
                "Pairs of tenant and rule above 80 % of the threshold, including pairs not shown by name.",
            ),
            Query(_beyond("0.8")),
            steps=((None, "green"), (1.0, "orange")),
        ),
        panels.number(
            Words("已见租户", "Tenants"),
            Words("各分区见过的租户总数。", "Tenants seen in all partitions."),
            Query("sum(callwarden_tenants)"),
        ),
        panels.number(
            Words("未展示", "Pairs not shown"),
            Words(
                "接近阈值但因数量上限未逐一展示的租户与规则对。",
                "Pairs near a threshold that exceed the limit of the metrics page; the histogram contains them.",
            ),
            Query("sum(callwarden_tenant_pairs_left_out)"),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("进行中的告警", "Firing alerts"),
            Words("租户与规则对，含影子规则。", "Pairs of tenant and rule, including shadow rules."),
            Query(f"sum(callwarden_alerts_firing{{{_RULE}}})"),
        ),
        panels.number(
            Words("待复核", "Pending reviews"),
            Words("未在期限内复核即失效。", "A decision that is not reviewed in time lapses."),
            Query("sum(callwarden_pending_decisions) or vector(0)"),
            steps=((None, "green"), (1.0, "orange")),
        ),
        panels.rows(
            Words("最接近阈值的租户", "Tenants nearest to a threshold"),
            Words(
                "比例为通往阈值的进度，取规则全部条件中最小者；点击租户查看详情。",
                "Share of the way to the threshold: the lowest of all conditions. Click a tenant for details.",
            ),
            [Query(f"topk(25, max by (tenant, rule) (callwarden_tenant_threshold_ratio{{{_RULE}}}))")],
            (12, 12),
            "percentunit",
            [
                panels.by_name(("tenant", "tenant"), ("rule", "rule"), ("Value", "share")),
                panels.largest_first("share"),
            ],
            [(Words("租户详情", "Tenant details"), TENANT_LINK)],
        ),
        panels.spread(
            Words("全体租户离阈值多远", "Distance to thresholds, all tenants"),
            Words(
                "所选规则下全部租户的分布；集中在 1 附近说明阈值位置不当。",
                "All tenants, for the selected rules. A peak at 1 suggests a wrong threshold.",
            ),
            Query(f"sum by (le) (callwarden_threshold_ratio_bucket{{{_RULE}}})", "{{le}}"),
            (12, 12),
        ),
        panels.lines(
            Words("各规则接近阈值的租户", "Tenants near a threshold by rule"),
            Words("超过阈值 80 % 的租户数。", "Tenants above 80 % of the threshold."),
            [Query(_beyond("0.8", " by (rule)"), "{{rule}}")],
        ),
        panels.lines(
            Words("各规则进行中的告警", "Firing alerts by rule"),
            Words("告警尚未解除的租户数。", "Tenants whose alert is not resolved."),
            [Query(f"sum by (rule) (callwarden_alerts_firing{{{_RULE}}})", "{{rule}}")],
        ),
    ]


def _escalating() -> list[Any]:
    nearest = "bottomk(25, min by (tenant, escalation) (callwarden_tenant_violations_missing))"
    counted = f"(max by (tenant, escalation) (callwarden_tenant_violations) and {nearest})"
    on_record = "max by (tenant) (callwarden_tenant_violations_on_record)"
    return [
        panels.number(
            Words("差一次违规即终止或封号", "One violation from termination or ban"),
            Words(
                "再记一次违规即触发升级的租户数，含未逐一展示者；已被终止或封号的不计。",
                "Tenants for which one more violation escalates, including tenants not shown by name; "
                "those terminated or banned are not counted.",
            ),
            Query('sum(callwarden_escalation_tenants{missing="1"})'),
            (8, 4),
            steps=((None, "green"), (1.0, "orange")),
        ),
        panels.lines(
            Words("各升级规则的租户", "Tenants by escalation and missing violations"),
            Words(
                "有计入的违规的租户，按还差几次违规。",
                "Tenants with violations that count, by how many more the escalation takes.",
            ),
            [
                Query(
                    "sum by (escalation, missing) (callwarden_escalation_tenants)",
                    "{{escalation}}: {{missing}}",
                )
            ],
            (16, 8),
        ),
        panels.rows(
            Words("最接近升级的租户", "Tenants nearest to an escalation"),
            Words(
                "还差的、已计入的、升级所需的与记录在案的违规数；点击租户查看详情。",
                "Violations that are missing, that count, that the escalation takes, and that are on record. "
                "Click a tenant for details.",
            ),
            [
                Query(nearest),
                Query(counted),
                Query(
                    f"{counted} * 0 + on (escalation) group_left () "
                    "max by (escalation) (callwarden_escalation_violations)"
                ),
                Query(f"{counted} * 0 + on (tenant) group_left () {on_record}"),
            ],
            (24, 10),
            transformations=[
                panels.by_name(
                    ("tenant", "tenant"),
                    ("escalation", "escalation"),
                    ("Value #A", "missing"),
                    ("Value #B", "counted"),
                    ("Value #C", "takes"),
                    ("Value #D", "on record"),
                ),
                panels.smallest_first("missing"),
            ],
            links=[(Words("租户详情", "Tenant details"), TENANT_LINK)],
        ),
    ]


def _decided() -> list[Any]:
    return [
        panels.lines(
            Words("各规则的决定", "Decisions by rule"),
            Words(
                "最终决定与送复核的决定，不含影子。",
                "Final decisions and those referred for review, without shadow decisions.",
            ),
            [Query(f"sum by (rule) (increase({_DECIDED}[$__rate_interval]))", "{{rule}}")],
        ),
        panels.lines(
            Words("按等级与处置", "Decisions by tier and kind"),
            Words("违规、较重违规、严重违规。", "Minor, major, severe."),
            [Query(f"sum by (tier, kind) (increase({_DECIDED}[$__rate_interval]))", "{{tier}} {{kind}}")],
        ),
        panels.rows(
            Words("决定的后续", "Decisions by outcome"),
            Words(
                "所选时段内各规则：作出、送复核、维持、撤销、撤回、失效。",
                "By rule, in the selected time range: decided, referred, upheld, overturned, withdrawn, lapsed.",
            ),
            [Query('sum by (rule, transition) (increase(callwarden_decisions_total{mode!="shadow"}[$__range]))')],
            (12, 10),
            transformations=[
                ("groupingToMatrix", {"columnField": "transition", "rowField": "rule", "valueField": "Value"}),
            ],
        ),
        panels.lines(
            Words("维持、撤销、失效", "Upheld, overturned, lapsed"),
            Words("撤销与失效多的规则需要调整。", "Adjust a rule whose decisions are often overturned or lapse."),
            [
                Query(
                    "sum by (transition) (increase("
                    'callwarden_decisions_total{transition=~"upheld|overturned|withdrawn|lapsed"}[$__rate_interval]))',
                    "{{transition}}",
                )
            ],
            (12, 10),
        ),
        panels.lines(
            Words("按模式", "Decisions by mode"),
            Words("执行、复核、影子，及由记录直接作出的。", "Enforce, review, shadow, and decisions by records."),
            [Query("sum by (mode) (increase(callwarden_decisions_total[$__rate_interval]))", "{{mode}}")],
            (8, 8),
        ),
        panels.lines(
            Words("告警", "Alerts sent"),
            Words("触发与解除。", "Firing and resolved alerts."),
            [
                Query(
                    "sum by (severity, state) (increase(callwarden_alerts_total[$__rate_interval]))",
                    "{{severity}} {{state}}",
                )
            ],
            (8, 8),
        ),
        panels.rows(
            Words("待复核的决定", "Pending reviews by rule"),
            Words("各规则的数量，与最早失效的剩余时间。", "Number by rule, and the time until the first one lapses."),
            [
                Query("sum by (rule) (callwarden_pending_decisions)"),
                Query("min by (rule) (callwarden_pending_review_by_timestamp_seconds) - time()"),
            ],
            (8, 8),
            transformations=[
                panels.by_name(("rule", "rule"), ("Value #A", "pending"), ("Value #B", "time left")),
            ],
            units=[("time left", "s")],
        ),
    ]


def _well() -> list[Any]:
    rate = "[$__rate_interval]"
    return [
        panels.number(
            Words("在线", "Up"),
            Words("Prometheus 能否采集。", "Programs that Prometheus can scrape."),
            Query('sum by (job) (up{job=~"worker|billing|ledger|notify|console"})', "{{job}}"),
            (12, 4),
            steps=ONE_IS_WELL,
        ),
        panels.number(
            Words("健康告警", "Health alerts"),
            Words("处理办法见 docs/guides/runbook.md。", "For each alert see docs/guides/runbook.md."),
            Query('count(ALERTS{alertstate="firing", source="health"}) or vector(0)'),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("连不上 Kafka", "Workers without Kafka"),
            Words("连不上 Kafka 的工作进程数。", "Workers that cannot reach Kafka."),
            Query("sum(callwarden_broker_away)"),
            steps=NONE_IS_WELL,
        ),
        panels.number(
            Words("话单静默", "Time since the last call"),
            Words("全部分区均无话单的时长。", "For how long no call has come in any partition."),
            Query("min(callwarden_cdr_feed_silent_seconds)"),
            unit="s",
            steps=((None, "green"), (600.0, "orange"), (1800.0, "red")),
        ),
        panels.lines(
            Words("吞吐", "Throughput"),
            Words("每秒读取的记录。", "Records a second."),
            [Query(f"sum by (instance) (rate(callwarden_records_total{rate}))", "{{instance}}")],
            unit="cps",
        ),
        panels.lines(
            Words("未计入的记录", "Records not counted"),
            Words("迟到、重复、被拒。", "Late, duplicate and rejected records."),
            [
                Query(f"sum(rate(callwarden_late_total{rate}))", "late"),
                Query(f"sum(rate(callwarden_duplicates_total{rate}))", "duplicate"),
                Query(f"sum by (topic) (rate(callwarden_rejected_total{rate}))", "rejected {{topic}}"),
            ],
            unit="cps",
        ),
        panels.lines(
            Words("积压", "Lag"),
            Words("尚未读取的记录。", "Records not read yet."),
            [Query("sum by (topic) (callwarden_lag_records)", "{{topic}}")],
            (8, 8),
        ),
        panels.lines(
            Words("水位延迟", "Watermark delay"),
            Words(
                "此前发生的都已判定；含允许的迟到。",
                "Everything before the watermark is decided. The delay includes the lateness.",
            ),
            [
                Query(
                    "time() - min by (partition) (callwarden_watermark_timestamp_seconds)",
                    "{{partition}}",
                )
            ],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("各来源的延迟", "Delay by source"),
            Words(
                "各主题最慢分区的时钟落后多久；最慢的来源拖住水位。",
                "Delay of the slowest partition of each topic. The slowest source holds the watermark back.",
            ),
            [Query("time() - min by (topic) (callwarden_clock_timestamp_seconds)", "{{topic}}")],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("事务耗时", "Transaction duration"),
            Words("中位与 99 分位。", "Median and 99th percentile."),
            [
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate(callwarden_transaction_seconds_bucket{rate})))",
                    name,
                )
                for share, name in ((0.5, "p50"), (0.99, "p99"))
            ],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("失败与丢弃", "Failed transactions and dropped batches"),
            Words("失败的事务，与上一代的批次。", "Failed transactions, and batches of an earlier group generation."),
            [
                Query(f"sum(increase(callwarden_transactions_failed_total{rate}))", "failed"),
                Query(f"sum(increase(callwarden_stale_batches_total{rate}))", "stale"),
            ],
            (8, 8),
        ),
        panels.lines(
            Words("恢复耗时", "Recovery duration"),
            Words("打开一个分区的平均耗时。", "Mean time to open a partition."),
            [
                Query(
                    "sum by (instance) (callwarden_opening_seconds_sum)"
                    " / sum by (instance) (callwarden_opening_seconds_count)",
                    "{{instance}}",
                )
            ],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("分区状态", "Partitions by phase"),
            Words("各状态的分区数；正常时全为 running。", "Partitions in each phase; normally all are running."),
            [Query("sum by (phase) (callwarden_partition)", "{{phase}}")],
            (8, 8),
        ),
        panels.lines(
            Words("主体封禁", "Bans of owners"),
            Words(
                "各分区中生效的主体封禁（最大值），以及各分区收到的封禁与解除。",
                "Bans of owners in effect, in the partition with the most; bans and liftings that partitions took.",
            ),
            [
                Query("max(callwarden_owner_bans)", "in effect"),
                Query("sum(increase(callwarden_owner_bans_taken_total[1h]))", "taken in an hour"),
            ],
            (8, 8),
        ),
        panels.lines(
            Words("指标页的序列", "Metric series by worker"),
            Words("各工作进程指标页的序列数。", "Series on the metrics page of each worker."),
            [Query('sum by (instance) (scrape_samples_scraped{job="worker"})', "{{instance}}")],
            (8, 8),
        ),
        panels.lines(
            Words("查看租户的耗时", "Tenant measurement duration"),
            Words("指标页查看租户的耗时。", "Time that the metrics page takes to measure the tenants."),
            [Query("max by (instance) (callwarden_tenant_look_seconds)", "{{instance}}")],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("处理器", "CPU"),
            Words("各进程占用的处理器核数。", "CPU cores that each process uses."),
            [Query(f"rate(process_cpu_seconds_total{rate})", "{{job}} {{instance}}")],
            (8, 8),
        ),
        panels.lines(
            Words("内存", "Memory"),
            Words("各进程的常驻内存。", "Resident memory of each process."),
            [Query("process_resident_memory_bytes", "{{job}} {{instance}}")],
            (8, 8),
            "bytes",
        ),
        panels.rows(
            Words("版本", "Versions"),
            Words("各程序的版本与 Python 版本。", "Release and Python version of each program."),
            [Query("count by (job, version, python) (callwarden_build_info)")],
            (24, 6),
            transformations=[
                panels.by_name(
                    ("job", "program"), ("version", "release"), ("python", "Python"), ("Value", "processes")
                ),
            ],
        ),
    ]


def _consumers() -> list[Any]:
    rate = "[$__rate_interval]"
    return [
        panels.lines(
            Words("落后时长", "Consumer delay"),
            Words("各系统处理到何时。", "Time up to which each consumer has handled all records."),
            [Query("time() - max by (consumer) (callwarden_consumer_as_of_timestamp_seconds)", "{{consumer}}")],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("冻结", "Frozen refunds"),
            Words("退费冻结数，与被冻结的租户。", "Refund holds, and tenants with a refund hold."),
            [
                Query("max(callwarden_billing_holds)", "holds"),
                Query("max(callwarden_billing_frozen_tenants)", "tenants"),
            ],
            (8, 8),
        ),
        panels.lines(
            Words("账本", "Ledger entries"),
            Words("各主题的条目。", "Ledger entries by topic."),
            [Query("sum by (topic) (max by (topic, partition) (callwarden_ledger_entries))", "{{topic}}")],
            (8, 8),
        ),
        panels.lines(
            Words("已发通知", "Messages sent"),
            Words("各渠道接收的通知。", "Messages that each channel accepted."),
            [Query(f"sum by (channel) (increase(callwarden_notify_sent_total{rate}))", "{{channel}}")],
            (8, 8),
        ),
        panels.lines(
            Words("待发通知", "Waiting messages"),
            Words(
                "各渠道尚未接收的通知，与其中单独搁置的。",
                "Messages not accepted yet by channel, and those of them that are set aside.",
            ),
            [
                Query("max by (channel) (callwarden_notify_waiting_messages)", "{{channel}}"),
                Query("max by (channel) (callwarden_notify_set_aside_messages)", "{{channel}}, set aside"),
            ],
            (8, 8),
        ),
        panels.lines(
            Words("最早一条已等待", "Oldest waiting message"),
            Words("各渠道最早一条待发通知的等待时长。", "Time that the oldest message to each channel has waited."),
            [Query("max by (channel) (callwarden_notify_oldest_waiting_seconds)", "{{channel}}")],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("待办案件", "Cases that wait"),
            Words("控制台中等待处理的案件与结论。", "Cases and verdicts that wait in the console, by state."),
            [Query("max by (state) (callwarden_console_queued_cases)", "{{state}}")],
            (8, 8),
        ),
    ]
