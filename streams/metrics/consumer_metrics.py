"""The metrics of the programs that consume decisions: billing, the ledger, the notifier, the console."""

from streams.metrics.spec import CONSUMERS, LabelSpec, MetricSpec

_TOPICS = LabelSpec("topic", "the topics that it reads")
_PARTITIONS = LabelSpec("partition", "the partitions of those topics")
_CONSUMER = LabelSpec("consumer", "1: the program itself")
_CHANNEL = LabelSpec(
    "channel", "the channels that are set: alertmanager, alertmanager-2, dingtalk, feishu, wecom, webhook"
)

CONSUMING: tuple[MetricSpec, ...] = (
    MetricSpec(
        "callwarden_build_info",
        "gauge",
        "always 1",
        "Which release a program runs, and on which Python",
        (LabelSpec("version", "that of this release"), LabelSpec("python", "that of its interpreter")),
        ("worker", *CONSUMERS, "ingest", "bridge", "assemble", "follow"),
    ),
    MetricSpec(
        "callwarden_http_connections_refused_total",
        "counter",
        "connections",
        "HTTP connections that a program closed unserved: for their number, since no request came in time, or for what "
        "came in place of one",
        (LabelSpec("reason", "limit, deadline, unreadable"),),
        ("worker", *CONSUMERS, "ingest", "bridge", "assemble", "follow"),
    ),
    MetricSpec(
        "callwarden_consumer_lag_records",
        "gauge",
        "records",
        "Written offsets of a topic, those of open transactions among them, that a consumer has not passed yet",
        (_CONSUMER, _TOPICS, _PARTITIONS),
        CONSUMERS,
    ),
    MetricSpec(
        "callwarden_consumer_open_transaction_seconds",
        "gauge",
        "seconds",
        "For how long an open transaction has kept a consumer from reading on; 0: none does",
        (_CONSUMER, _TOPICS, _PARTITIONS),
        CONSUMERS,
    ),
    MetricSpec(
        "callwarden_consumer_as_of_timestamp_seconds",
        "gauge",
        "Unix time",
        "Up to when a consumer has handled all that was written; absent before the first time",
        (_CONSUMER,),
        CONSUMERS,
    ),
    MetricSpec(
        "callwarden_billing_events_total",
        "counter",
        "records",
        "Records of the enforcement topic that this process handled: new ones by their refunds, and others",
        (LabelSpec("result", "frozen, released, unaffected, duplicate, rejected"),),
        ("billing",),
    ),
    MetricSpec("callwarden_billing_holds", "gauge", "holds", "Refund holds in force", (), ("billing",)),
    MetricSpec(
        "callwarden_billing_frozen_tenants",
        "gauge",
        "tenants",
        "Tenants with a hold on their refunds",
        (),
        ("billing",),
    ),
    MetricSpec(
        "callwarden_billing_rejected_records",
        "gauge",
        "records",
        "Records of the enforcement topic that could not be read, so far",
        (),
        ("billing",),
    ),
    MetricSpec(
        "callwarden_billing_unread_records",
        "gauge",
        "records",
        "Records of the enforcement topic that cannot be read and that no operator has accepted: answers are withheld",
        (),
        ("billing",),
    ),
    MetricSpec(
        "callwarden_billing_unread_records_of_any_tenant",
        "gauge",
        "records",
        "Those of them that may be about any tenant: while there is one, no tenant is answered",
        (),
        ("billing",),
    ),
    MetricSpec(
        "callwarden_billing_accepted_gaps",
        "gauge",
        "stretches",
        "Stretches of the enforcement topic that were lost, and accepted as lost by an operator",
        (),
        ("billing",),
    ),
    MetricSpec(
        "callwarden_billing_request_duration_seconds",
        "histogram",
        "seconds",
        "Duration of queries about refunds",
        (LabelSpec("status", "the HTTP statuses that it answers with, 6"),),
        ("billing",),
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    ),
    MetricSpec(
        "callwarden_ledger_entries", "gauge", "entries", "Entries of a chain", (_TOPICS, _PARTITIONS), ("ledger",)
    ),
    MetricSpec(
        "callwarden_ledger_unreadable_total",
        "counter",
        "records",
        "Records kept that cannot be read, since the start",
        (_TOPICS,),
        ("ledger",),
    ),
    MetricSpec(
        "callwarden_ledger_heads_published_timestamp_seconds",
        "gauge",
        "Unix time",
        "Time at which heads were last published; absent until it is known",
        (),
        ("ledger",),
    ),
    MetricSpec(
        "callwarden_notify_sent_total",
        "counter",
        "messages",
        "Messages that a channel's receiver accepted",
        (
            _CHANNEL,
            LabelSpec("what", "15: alert, the kinds of decisions, pending, lapse_soon, digest, summary and the like"),
        ),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_notify_failed_total",
        "counter",
        "attempts",
        "Times that a channel's receiver did not take a message; it is tried again",
        (_CHANNEL,),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_notify_given_up_total",
        "counter",
        "messages",
        "Messages that a channel's receiver refused, or failed at while it took others, five times",
        (_CHANNEL,),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_notify_waiting_messages",
        "gauge",
        "messages",
        "Messages that a channel's receiver has not accepted yet",
        (_CHANNEL,),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_notify_oldest_waiting_seconds",
        "gauge",
        "seconds",
        "Time that the oldest waiting message that is not set aside has waited",
        (_CHANNEL,),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_notify_set_aside_messages",
        "gauge",
        "messages",
        "Messages that a channel's receiver failed at while it took others; they are tried less and less often",
        (_CHANNEL,),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_notify_rejected_total", "counter", "records", "Records that could not be read", (), ("notify",)
    ),
    MetricSpec(
        "callwarden_notify_lost_total",
        "counter",
        "gaps",
        "Times that records were deleted before the notifier read them",
        (),
        ("notify",),
    ),
    MetricSpec(
        "callwarden_console_rejected_total",
        "counter",
        "records",
        "Records that the console could not read; it set them aside",
        (),
        ("console",),
    ),
    MetricSpec(
        "callwarden_console_lost_total",
        "counter",
        "gaps",
        "Times that records were deleted before the console read them",
        (),
        ("console",),
    ),
    MetricSpec(
        "callwarden_console_queued_cases",
        "gauge",
        "cases",
        "Cases and applications that wait for a person, each at most 10,000; those that lapse within a day; verdicts "
        "that wait for a second person, or were sent and have no effect yet",
        (LabelSpec("state", "waiting, soon, approval, sent, postponed, admissions"),),
        ("console",),
    ),
    MetricSpec(
        "callwarden_console_outbox_oldest_seconds",
        "gauge",
        "seconds",
        "For how long the oldest record that the console is to write to Kafka has waited; 0: none waits",
        (),
        ("console",),
    ),
    MetricSpec(
        "callwarden_console_open_pages", "gauge", "pages", "Open pages that are told of changes", (), ("console",)
    ),
    MetricSpec(
        "callwarden_console_request_duration_seconds",
        "histogram",
        "seconds",
        "Duration of requests for pages and the API, without the stream of changes",
        (LabelSpec("status", "the HTTP statuses that it answers with, 14"),),
        ("console",),
        (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
    ),
)
