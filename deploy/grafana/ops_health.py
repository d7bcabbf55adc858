"""Rows of the operations dashboard: the health of the workers and of the consumers."""

from typing import Any

import panels
from panels import NONE_IS_WELL, ONE_IS_WELL, Query, Words

_RATE = "[$__rate_interval]"
_PROGRAMS = "worker|billing|ledger|notify|console|ingest|assemble|follow|bridge"  # jobs of Prometheus


def workers() -> list[Any]:
    """The health of the workers, from their inputs to their resources."""
    return [*_at_a_glance(), *_reading(), *_partitions(), *_resources()]


def _at_a_glance() -> list[Any]:
    return [
        panels.number(
            Words("在线", "Up"),
            Words("Prometheus 能否采集。", "Programs that Prometheus can scrape."),
            Query(f'sum by (job) (up{{job=~"{_PROGRAMS}"}})', "{{job}}"),
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
    ]


def _reading() -> list[Any]:
    return [
        panels.lines(
            Words("吞吐", "Throughput"),
            Words("每秒读取的记录。", "Records a second."),
            [Query(f"sum by (instance) (rate(callwarden_records_total{_RATE}))", "{{instance}}")],
            unit="cps",
        ),
        panels.lines(
            Words("未计入的记录", "Records not counted"),
            Words("迟到、重复、拒收。", "Late, duplicate and rejected records."),
            [
                Query(f"sum(rate(callwarden_late_total{_RATE}))", "late"),
                Query(f"sum(rate(callwarden_duplicates_total{_RATE}))", "duplicate"),
                Query(f"sum by (topic) (rate(callwarden_rejected_total{_RATE}))", "rejected {{topic}}"),
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
            Words("水位线延迟", "Watermark delay"),
            Words(
                "此前发生的都已判定；含迟到容限。",
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
            Words("各数据源的延迟", "Delay by source"),
            Words(
                "各主题最慢分区的时钟落后多久；最慢的数据源拖住水位线。",
                "Delay of the slowest partition of each topic. The slowest source holds the watermark back.",
            ),
            [Query("time() - min by (topic) (callwarden_clock_timestamp_seconds)", "{{topic}}")],
            (8, 8),
            "s",
        ),
    ]


def _partitions() -> list[Any]:
    return [
        panels.lines(
            Words("事务耗时", "Transaction duration"),
            Words("中位与 99 分位。", "Median and 99th percentile."),
            [
                Query(
                    f"histogram_quantile({share}, sum by (le) (rate(callwarden_transaction_seconds_bucket{_RATE})))",
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
                Query(f"sum(increase(callwarden_transactions_failed_total{_RATE}))", "failed"),
                Query(f"sum(increase(callwarden_stale_batches_total{_RATE}))", "stale"),
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
    ]


def _resources() -> list[Any]:
    return [
        panels.lines(
            Words("指标页的序列", "Metric series by worker"),
            Words("各工作进程指标页的序列数。", "Series on the metrics page of each worker."),
            [Query('sum by (instance) (scrape_samples_scraped{job="worker"})', "{{instance}}")],
            (8, 8),
        ),
        panels.lines(
            Words("测量租户的耗时", "Tenant measurement duration"),
            Words("指标页测量全部租户的耗时。", "Time that the metrics page takes to measure the tenants."),
            [Query("max by (instance) (callwarden_tenant_look_seconds)", "{{instance}}")],
            (8, 8),
            "s",
        ),
        panels.lines(
            Words("处理器", "CPU"),
            Words("各进程占用的处理器核数。", "CPU cores that each process uses."),
            [Query(f"rate(process_cpu_seconds_total{_RATE})", "{{job}} {{instance}}")],
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


def consumers() -> list[Any]:
    """The health of the consumers, and what waits in them."""
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
            Words("退款冻结数，与被冻结的租户。", "Refund holds, and tenants with a refund hold."),
            [
                Query("max(callwarden_billing_holds)", "holds"),
                Query("max(callwarden_billing_frozen_tenants)", "tenants"),
            ],
            (8, 8),
        ),
        panels.lines(
            Words("台账", "Ledger entries"),
            Words("各主题的条目。", "Ledger entries by topic."),
            [Query("sum by (topic) (max by (topic, partition) (callwarden_ledger_entries))", "{{topic}}")],
            (8, 8),
        ),
        panels.lines(
            Words("已发通知", "Messages sent"),
            Words("各渠道接收的通知。", "Messages that each channel accepted."),
            [Query(f"sum by (channel) (increase(callwarden_notify_sent_total{_RATE}))", "{{channel}}")],
            (8, 8),
        ),
        panels.lines(
            Words("待发通知", "Waiting messages"),
            Words(
                "各渠道尚未接收的通知，与其中暂缓的。",
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
