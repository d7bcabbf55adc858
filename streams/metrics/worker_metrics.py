"""The metrics of the programs that judge: workers and replays."""

from monitor.core.escalation_distance import FAR
from monitor.core.threshold_distance import BUCKETS
from streams.metrics.spec import LATENCIES, LabelSpec, MetricSpec, Program

_INPUT = LabelSpec("topic", "the 5 input topics without their prefix; `files` in a replay of files")
_PARTITION = LabelSpec("partition", "the partitions that this worker has")
_REASON = LabelSpec("reason", "the code words of rejections, about 30")
_RULE = LabelSpec("rule", "the policy's measured rules")
_DECIDING = LabelSpec("rule", "the policy's rules, escalations and behaviours")
_ESCALATION = LabelSpec("escalation", "the policy's escalations")
_LEADS_TO = LabelSpec("kind", "termination or ban: what the escalation leads to")
_VIOLATOR = LabelSpec("tenant", "`METRICS_PAIRS` pairs of tenant and escalation at most")
_AGENT = LabelSpec("agent", "the agents of other packages, by entry point")
_TENANT = LabelSpec("tenant", "`METRICS_PAIRS` pairs of tenant and rule at most, and `METRICS_BUSIEST` tenants")
_JUDGING: tuple[Program, ...] = ("worker", "replay")

JUDGING: tuple[MetricSpec, ...] = (
    # Throughput and rejections.
    MetricSpec(
        "callwarden_records_total",
        "counter",
        "records",
        "Records read; records that are read again are not counted",
        (),
        _JUDGING,
    ),
    MetricSpec("callwarden_duplicates_total", "counter", "records", "Duplicate records, dropped", (), _JUDGING),
    MetricSpec("callwarden_late_total", "counter", "records", "Calls too late for any window", (), _JUDGING),
    MetricSpec(
        "callwarden_rejected_total",
        "counter",
        "records",
        "Records that were rejected; a worker writes them to the dead letters",
        (_INPUT, _REASON),
        _JUDGING,
    ),
    # Decisions and alerts.
    MetricSpec(
        "callwarden_decisions_total",
        "counter",
        "decisions",
        "Enforcement events and shadow decisions, by their effect on the case",
        (
            _DECIDING,
            LabelSpec("tier", "minor, major, severe, none"),
            LabelSpec(
                "mode", "enforce, review, shadow: the rule's in the policy; record: a complaint, finding or application"
            ),
            LabelSpec(
                "kind",
                "warning, termination, ban, admission_rejected, admission_review, admission_approved, reversal, lapse",
            ),
            LabelSpec("status", "final, pending_review"),
            LabelSpec("transition", "decided, referred, upheld, overturned, withdrawn, lapsed"),
        ),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_alerts_total",
        "counter",
        "alerts",
        "Alerts sent; an alert that is sent again with its decision counts again",
        (_RULE, LabelSpec("severity", "info, warning, critical"), LabelSpec("state", "firing, resolved")),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_alerts_firing", "gauge", "tenants", "Tenants whose alert of the rule is firing", (_RULE,), _JUDGING
    ),
    MetricSpec(
        "callwarden_pending_decisions",
        "gauge",
        "decisions",
        "Decisions that wait for a review",
        (_DECIDING,),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_pending_review_by_timestamp_seconds",
        "gauge",
        "Unix time",
        "When the first of the rule's pending decisions lapses; absent where none is pending",
        (_DECIDING,),
        _JUDGING,
    ),
    # Tenants and thresholds.
    MetricSpec("callwarden_tenants", "gauge", "tenants", "Tenants seen so far", (), _JUDGING),
    MetricSpec(
        "callwarden_threshold_ratio",
        "histogram",
        "ratio",
        "How far the tenants with a record in the rule's window are on the way to its threshold now; not cumulative",
        (_RULE,),
        _JUDGING,
        BUCKETS,
    ),
    MetricSpec(
        "callwarden_tenant_threshold_ratio",
        "gauge",
        "ratio",
        "How far one tenant is on the way to the rule's threshold: 1 is at it, 10 ten times over or more",
        (_TENANT, _RULE),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_value",
        "gauge",
        "that of the metric",
        "The rule's metric for one tenant, in the window that was judged last",
        (_TENANT, _RULE, LabelSpec("metric", "one a rule")),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_threshold",
        "gauge",
        "that of the metric",
        "The rule's threshold for one tenant; that of an override if one is in force",
        (_TENANT, _RULE, LabelSpec("metric", "one a rule")),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_calls",
        "gauge",
        "calls",
        "Call records of one tenant in the longest window up to a day",
        (_TENANT,),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_pairs_left_out",
        "gauge",
        "pairs",
        "Pairs of tenant and rule that are near a threshold and left out because there are too many",
        (),
        _JUDGING,
    ),
    # Tenants and escalations.
    MetricSpec(
        "callwarden_escalation_violations",
        "gauge",
        "violations",
        "The violations that the escalation takes",
        (_ESCALATION, _LEADS_TO),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_escalation_tenants",
        "gauge",
        "tenants",
        "Tenants with violations that count towards the escalation now, by how many are missing",
        (
            _ESCALATION,
            _LEADS_TO,
            LabelSpec("missing", f"{', '.join(map(str, range(1, FAR)))}, `{FAR} or more`"),
        ),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_violations",
        "gauge",
        "violations",
        "The violations of one tenant that count towards the escalation now",
        (_VIOLATOR, _ESCALATION),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_violations_missing",
        "gauge",
        "violations",
        "How many more violations of one tenant the escalation takes",
        (_VIOLATOR, _ESCALATION),
        _JUDGING,
    ),
    MetricSpec(
        "callwarden_tenant_violations_on_record",
        "gauge",
        "violations",
        "The violations of one tenant that are not reversed, of any age, used or not",
        (_VIOLATOR,),
        _JUDGING,
    ),
    # Progress.
    MetricSpec(
        "callwarden_watermark_timestamp_seconds",
        "gauge",
        "Unix time",
        "The watermark: what happened before is decided. The delay is `time()` less this",
        (_PARTITION,),
    ),
    MetricSpec(
        "callwarden_last_event_timestamp_seconds",
        "gauge",
        "Unix time",
        "The largest event time of a replay's input",
        (),
        ("replay",),
    ),
    MetricSpec(
        "callwarden_clock_timestamp_seconds",
        "gauge",
        "Unix time",
        "The clock of a source: the largest event time of its records, or the broker's time while it is silent. "
        "The watermark is the least of a partition's five, less the lateness",
        (_INPUT, _PARTITION),
    ),
    MetricSpec("callwarden_lag_records", "gauge", "records", "Records not read yet", (_INPUT, _PARTITION)),
    MetricSpec("callwarden_cdr_feed_silent_seconds", "gauge", "seconds", "Time since a call arrived in any partition"),
    MetricSpec(
        "callwarden_silent_seconds",
        "gauge",
        "seconds",
        "Time since a record of the topic arrived in the partitions of this worker",
        (_INPUT,),
    ),
    # Health.
    MetricSpec(
        "callwarden_partition",
        "gauge",
        "0 or 1",
        "1 for what a partition is",
        (_PARTITION, LabelSpec("phase", "opening, running, refused, stopped, misconfigured")),
    ),
    MetricSpec(
        "callwarden_transaction_seconds", "histogram", "seconds", "Duration of a transaction", buckets=LATENCIES
    ),
    MetricSpec(
        "callwarden_transactions_failed_total",
        "counter",
        "transactions",
        "Transactions that failed, or whose outcome is unknown",
    ),
    MetricSpec(
        "callwarden_opening_seconds",
        "histogram",
        "seconds",
        "Time to open a partition, its state read: recovery after a crash or a move",
        buckets=LATENCIES,
    ),
    MetricSpec("callwarden_broker_away", "gauge", "0 or 1", "1 while the broker cannot be reached"),
    MetricSpec(
        "callwarden_topic_faults", "gauge", "topics", "Topics that are missing, or have another number of partitions"
    ),
    MetricSpec(
        "callwarden_host_clock_ahead_seconds",
        "gauge",
        "seconds",
        "By how much the clock of the worker's host is ahead of the broker's, at least; negative: behind",
    ),
    MetricSpec(
        "callwarden_stale_batches_total", "counter", "batches", "Batches of a former generation of the group, dropped"
    ),
    MetricSpec(
        "callwarden_review_keys",
        "gauge",
        "keys",
        "Review keys in force in the partition; 0: reviews need no signature",
        (_PARTITION, LabelSpec("keys", "the first 12 hex digits of the SHA-256 of the keys; none")),
    ),
    MetricSpec(
        "callwarden_owner_bans", "gauge", "bans", "Bans of owners that are in effect in the partition", (_PARTITION,)
    ),
    MetricSpec(
        "callwarden_owner_bans_taken_total",
        "counter",
        "bans",
        "Bans of owners and their liftings that partitions took from the topic `owners`, each partition for itself",
    ),
    MetricSpec(
        "callwarden_owner_bans_rejected_total",
        "counter",
        "records",
        "Records of the topic `owners` that are no bans, or are damaged; they are skipped",
    ),
    MetricSpec("callwarden_owners_lag_records", "gauge", "records", "Records of the topic `owners` not read yet"),
    MetricSpec(
        "callwarden_owners_unreadable_seconds",
        "gauge",
        "seconds",
        "For how long the topic `owners` could not be read; 0 while it can",
    ),
    MetricSpec(
        "callwarden_agent_failing",
        "gauge",
        "0 or 1",
        "1 for an agent of another package that fails on its batch, or that cannot be loaded",
        (_AGENT,),
    ),
    MetricSpec(
        "callwarden_agent_failures_total", "counter", "failures", "Errors of an agent of another package", (_AGENT,)
    ),
    MetricSpec(
        "callwarden_agent_batch_seconds",
        "gauge",
        "seconds",
        "For how long an agent of another package has had its current batch, failures included; 0 without one",
        (_AGENT,),
    ),
    MetricSpec(
        "callwarden_agent_records_total",
        "counter",
        "records",
        "Decisions and alerts that an agent of another package has handled",
        (_AGENT,),
    ),
    MetricSpec(
        "callwarden_agent_lost_total",
        "counter",
        "gaps",
        "Times that records were deleted before an agent of another package received them",
        (_AGENT,),
    ),
    MetricSpec(
        "callwarden_tenant_look_seconds",
        "gauge",
        "seconds",
        "Duration of the last evaluation of all tenants for this page",
    ),
)
