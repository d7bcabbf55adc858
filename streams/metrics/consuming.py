"""The metrics of those who live on what was judged: billing, the ledger, the notifier."""

from streams.metrics.entries import CONSUMERS, Entry, Label

_TOPICS = Label("topic", "the topics that it reads")
_PARTITIONS = Label("partition", "the partitions of those topics")
_CONSUMER = Label("consumer", "1: the program itself")
_CHANNEL = Label("channel", "the channels that are set: alertmanager, alertmanager-2, dingtalk, feishu, wecom, webhook")

CONSUMING: tuple[Entry, ...] = (
    Entry(
        "callwarden_consumer_lag_records",
        "gauge",
        "records",
        "Committed offsets of a topic that a consumer has not passed yet",
        (_CONSUMER, _TOPICS, _PARTITIONS),
        CONSUMERS,
    ),
    Entry(
        "callwarden_consumer_as_of_timestamp_seconds",
        "gauge",
        "Unix time",
        "Up to when a consumer has handled all that was committed; absent before the first time",
        (_CONSUMER,),
        CONSUMERS,
    ),
    Entry(
        "callwarden_billing_events_total",
        "counter",
        "records",
        "Records of the enforcement topic that this process handled: new ones by their refunds, and others",
        (Label("result", "frozen, released, unaffected, duplicate, rejected"),),
        ("billing",),
    ),
    Entry("callwarden_billing_holds", "gauge", "holds", "Holds that are left on tenants' refunds", (), ("billing",)),
    Entry(
        "callwarden_billing_frozen_tenants",
        "gauge",
        "tenants",
        "Tenants with a hold on their refunds",
        (),
        ("billing",),
    ),
    Entry(
        "callwarden_billing_rejected_records",
        "gauge",
        "records",
        "Records of the enforcement topic that could not be read, so far",
        (),
        ("billing",),
    ),
    Entry(
        "callwarden_billing_accepted_gaps",
        "gauge",
        "stretches",
        "Stretches of the enforcement topic that were lost, and accepted as lost by an operator",
        (),
        ("billing",),
    ),
    Entry(
        "callwarden_billing_request_duration_seconds",
        "histogram",
        "seconds",
        "How long questions about refunds took to be answered",
        (Label("status", "the HTTP statuses that it answers with, 6"),),
        ("billing",),
        (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
    ),
    Entry("callwarden_ledger_entries", "gauge", "entries", "Entries of a chain", (_TOPICS, _PARTITIONS), ("ledger",)),
    Entry(
        "callwarden_ledger_unreadable_total",
        "counter",
        "records",
        "Records kept that cannot be read, since the start",
        (_TOPICS,),
        ("ledger",),
    ),
    Entry(
        "callwarden_ledger_heads_published_timestamp_seconds",
        "gauge",
        "Unix time",
        "When heads were last published; absent before that is known",
        (),
        ("ledger",),
    ),
    Entry(
        "callwarden_notify_sent_total",
        "counter",
        "messages",
        "Messages that a channel's receiver took",
        (
            _CHANNEL,
            Label("what", "14: alert, the kinds of decisions, pending, lapse_soon, digest, summary and the like"),
        ),
        ("notify",),
    ),
    Entry(
        "callwarden_notify_failed_total",
        "counter",
        "attempts",
        "Times that a channel's receiver did not take a message; it is tried again",
        (_CHANNEL,),
        ("notify",),
    ),
    Entry(
        "callwarden_notify_given_up_total",
        "counter",
        "messages",
        "Messages that a channel's receiver refused five times, each by itself",
        (_CHANNEL,),
        ("notify",),
    ),
    Entry(
        "callwarden_notify_waiting_messages",
        "gauge",
        "messages",
        "Messages that a channel's receiver has not taken yet",
        (_CHANNEL,),
        ("notify",),
    ),
    Entry(
        "callwarden_notify_oldest_waiting_seconds",
        "gauge",
        "seconds",
        "For how long the oldest of them has waited",
        (_CHANNEL,),
        ("notify",),
    ),
    Entry("callwarden_notify_rejected_total", "counter", "records", "Records that could not be read", (), ("notify",)),
    Entry(
        "callwarden_notify_lost_total",
        "counter",
        "gaps",
        "Times that records had been deleted before anybody was told of them",
        (),
        ("notify",),
    ),
)
