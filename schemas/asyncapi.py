"""The AsyncAPI 3 document: every topic of the contract with its key, direction, messages and headers."""

from typing import Any, Final, NamedTuple

from schemas.error_codes import ErrorCode
from schemas.json_schema import RECORDS, components, example
from schemas.review_signature import MAX_HEADER_BYTES, SIGNATURE_HEADER

VERSION: Final = "3.0.0"
"""The version of AsyncAPI."""

DOCUMENT_VERSION: Final = "1.0.0"
"""The version of the contract that the document describes: each added field increments the minor part."""

_BINDING: Final = "0.5.0"
_KEY: Final = "The tenant_id as UTF-8, placed by murmur2 as Java's client does."
_TYPE: Final = {"type": "string", "enum": ["policy", "withdraw", "skip", "accept", "end_outage"]}


class Topic(NamedTuple):
    """One topic: its channel's name, messages, operations, key, and relevant configuration."""

    channel: str
    address: str
    actions: tuple[str, ...]
    messages: tuple[str, ...]
    about: str
    key: str = _KEY
    config: dict[str, Any] | None = None


TOPICS: Final = (
    Topic("cdr", "callwarden.cdr", ("receive",), ("cdr",), "Finished call legs, written by the platform."),
    Topic("complaints", "callwarden.complaints", ("receive",), ("complaint",), "Complaints, written by the platform."),
    Topic("findings", "callwarden.findings", ("receive",), ("finding",), "Findings, written by quality inspection."),
    Topic(
        "tenants",
        "callwarden.tenants",
        ("receive",),
        ("tenant", "application"),
        "What tenants declare and ask for, written by registration.",
    ),
    Topic("reviews", "callwarden.reviews", ("receive",), ("review",), "Verdicts, written by the ops team."),
    Topic(
        "enforcement",
        "callwarden.enforcement",
        ("send",),
        ("enforcement",),
        "Every decision. Written in transactions: read it with isolation level read_committed. Never compacted, never "
        "expires. Billing's holds: an event with refunds frozen adds a hold under its id; supersedes and reverses take "
        "that id's hold away permanently; a tenant may not be refunded or cancel its orders while a hold is left.",
        config={"cleanup.policy": ["delete"], "retention.ms": -1, "retention.bytes": -1},
    ),
    Topic("alerts", "callwarden.alerts", ("send",), ("alert",), "Early signs, sent at least once; may be taken back."),
    Topic(
        "late",
        "callwarden.late",
        ("send",),
        ("lateCdr",),
        "Calls that came too late for any window, as they came; corrections that came after their call was written.",
    ),
    Topic(
        "deadLetter",
        "callwarden.dead-letter",
        ("send",),
        ("deadLetter",),
        "Records that were rejected: the bytes as they came, the reason in a header.",
        key="As it came.",
    ),
    Topic(
        "shadow",
        "callwarden.shadow",
        ("send",),
        ("shadow",),
        "What rules in shadow mode would decide, with the status that the mode enforce would give. It changes nothing.",
    ),
    Topic(
        "evidence",
        "callwarden.evidence",
        ("send",),
        ("evidence",),
        "Where the records lie that a decision names. Written in the transaction of the decision, to the same "
        "partition number: read it with isolation level read_committed. Never compacted; kept for 400 days.",
        config={"cleanup.policy": ["delete"]},
    ),
    Topic(
        "measures",
        "callwarden.measures",
        ("send",),
        ("measures",),
        "What the rules measured of a tenant in an hour of event time in which it called. Written with the decisions "
        "of the end of the hour, to the same partition number: read it with isolation level read_committed. Kept for "
        "35 days. Workers with CALLWARDEN_MEASURES=off write none.",
        config={"cleanup.policy": ["delete"]},
    ),
    Topic(
        "owners",
        "callwarden.owners",
        ("send", "receive"),
        ("owner_ban",),
        "The bans of owners. Each is written in the transaction of the decision that bans a tenant of the owner, and "
        "again when it is lifted. One partition, which every worker reads. No source of the watermark.",
        key="The id of the decision that bans the tenant.",
        config={"cleanup.policy": ["compact"]},
    ),
    Topic(
        "control",
        "callwarden.control",
        ("receive",),
        ("control",),
        "The operator's commands, read by the owner of the partition. No source of the watermark.",
        key="The partition number that the command is for, as decimal digits.",
    ),
    Topic(
        "state",
        "callwarden.state",
        ("send", "receive"),
        ("state",),
        "The shards' state. Its format is Callwarden's own and may change: do not read it.",
        key="Callwarden's own.",
        config={"cleanup.policy": ["compact"]},
    ),
    Topic(
        "clock",
        "callwarden.clock",
        ("send", "receive"),
        ("clock",),
        "What was not in the inputs and yet decided: idle movements of clocks, policy switches, skips. A replay from "
        "topics reads it. Its format is Callwarden's own, documented with the worker.",
        key="Callwarden's own.",
    ),
    Topic(
        "actions",
        "callwarden.actions",
        ("send",),
        ("action",),
        "What people did in the console: claims, notes, verdicts, approvals, sign-ins, changes of roles, exports. One "
        "partition. Never compacted, never expires; the ledger chains it.",
        key="The subject who did it; of a failed sign-in that of the account; else `nobody`.",
        config={"cleanup.policy": ["delete"], "retention.ms": -1, "retention.bytes": -1},
    ),
    Topic(
        "ingestKeys",
        "callwarden.ingest-keys",
        ("send", "receive"),
        ("ingestKey",),
        "The idempotency keys of the HTTP ingest service, with the answers to their requests, for a day. Its format is "
        "Callwarden's own and may change: do not read it.",
        key="The hash of a token's name and an idempotency key, in hexadecimal digits.",
        config={"cleanup.policy": ["compact", "delete"]},
    ),
    Topic(
        "raw",
        "callwarden.raw",
        ("send", "receive"),
        ("rawEvent",),
        "Events of other systems, in formats in which several events make one call, for 7 days. Written by the ingest "
        "service, `callwarden follow` and `callwarden bridge`, never by tenants.",
        key="A JSON array of texts: the source, and what the events of a call have in common. None: see the message.",
        config={"cleanup.policy": ["delete"], "retention.ms": 604800000},
    ),
    Topic(
        "rawState",
        "callwarden.raw-state",
        ("send", "receive"),
        ("rawState",),
        "The open calls of those events. Its format is Callwarden's own and may change: do not read it.",
        key="Callwarden's own.",
        config={"cleanup.policy": ["compact"]},
    ),
    Topic(
        "follow",
        "callwarden.follow",
        ("send", "receive"),
        ("followPosition",),
        "How far `callwarden follow` has read its files and tables. Its format is Callwarden's own and may change: do "
        "not read it.",
        key="A JSON array of texts: the follower's name, and the id of a file or a table.",
        config={"cleanup.policy": ["compact"]},
    ),
)

# message: the Struct of its payload, and the record whose example it shows
_RECORD_MESSAGES: Final = {name: name for name in RECORDS if name not in ("window", "rejected")} | {
    "lateCdr": "cdr",
    "shadow": "enforcement",
}
_CLOUDEVENT: Final = frozenset({"enforcement", "shadow"})
_INPUT_NOTE: Final = (
    "All input topics have the same number of partitions and message.timestamp.type LogAppendTime; keys are placed by "
    "murmur2, the default of Java's client and of aiokafka (librdkafka needs partitioner=murmur2_random). The prefixes "
    "of inputs and of outputs, both `callwarden.` here, are separate settings."
)


def document() -> dict[str, Any]:
    """The document as JSON values."""
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Callwarden",
            "version": DOCUMENT_VERSION,
            "description": "Callwarden judges the calls of a call-centre platform. `receive` is what Callwarden reads, "
            "`send` what it writes. " + _INPUT_NOTE,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {topic.channel: _channel(topic) for topic in TOPICS},
        "operations": dict(_operation(topic, action) for topic in TOPICS for action in topic.actions),
        "components": {"messages": _messages(), "schemas": components("#/components/schemas/{name}")},
    }


def _channel(topic: Topic) -> dict[str, Any]:
    kafka: dict[str, Any] = {"topic": topic.address}
    if topic.config:
        kafka["topicConfiguration"] = topic.config
    return {
        "address": topic.address,
        "description": f"{topic.about} Key: {topic.key}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.messages},
        "bindings": {"kafka": kafka | {"bindingVersion": _BINDING}},
    }


def _operation(topic: Topic, action: str) -> tuple[str, dict[str, Any]]:
    name = action + topic.channel[0].upper() + topic.channel[1:]
    return name, {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.channel}"},
        "messages": [{"$ref": f"#/channels/{topic.channel}/messages/{message}"} for message in topic.messages],
    }


def _messages() -> dict[str, Any]:
    return {message: _message(topic, message) for topic in TOPICS for message in topic.messages}


def _message(topic: Topic, name: str) -> dict[str, Any]:
    binding = {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": _BINDING}}
    if name not in _RECORD_MESSAGES:
        return {"name": name, "title": name, **_OWN[name], "bindings": binding}
    record = _RECORD_MESSAGES[name]
    body: dict[str, Any] = {
        "name": name,
        "title": name,
        "contentType": "application/cloudevents+json" if name in _CLOUDEVENT else "application/json",
        "payload": {"$ref": f"#/components/schemas/{RECORDS[record].__name__}"},
    }
    if name in _CLOUDEVENT:
        media = {"type": "string", "const": "application/cloudevents+json"}
        body["headers"] = {"type": "object", "required": ["content-type"], "properties": {"content-type": media}}
    if name == "review":
        body["headers"] = {"type": "object", "properties": {SIGNATURE_HEADER: _SIGNATURE}}
    return body | {"bindings": binding, "examples": [{"name": name, "payload": example(record)}]}


_SIGNATURE: Final[dict[str, Any]] = {
    "type": "string",
    "description": "Of a review: who vouches for it. The name of a key, a colon, and the key's Ed25519 signature over "
    "the bytes of the value, in base64 with padding. A worker with review keys rejects a review without it "
    "(unsigned_review), or one whose signature is not right (bad_signature).",
    "maxLength": MAX_HEADER_BYTES,
}
_OWN: Final[dict[str, dict[str, Any]]] = {
    "deadLetter": {
        "contentType": "application/octet-stream",
        "payload": {"description": "The rejected bytes as they came; they need not be JSON, nor text."},
        "headers": {
            "type": "object",
            "required": ["reason"],
            "properties": {
                "reason": {
                    "type": "string",
                    "description": "Why, in UTF-8: a stable code word, a colon, then which field, which value and what "
                    "was expected. Telephone numbers are masked. The reader's code words: "
                    + ", ".join(ErrorCode)
                    + ".",
                },
                "topic": {"type": "string", "description": "Where the record is, in UTF-8: its topic."},
                "partition": {"type": "string", "description": "Its partition, in decimal digits."},
                "offset": {"type": "string", "description": "Its offset, in decimal digits; of a batch the last."},
                "first_offset": {
                    "type": "string",
                    "description": "The value is a record batch, from this offset on, that cannot be taken apart.",
                },
                SIGNATURE_HEADER: _SIGNATURE,
                "length": {"type": "string", "description": "The value is the head of one of so many bytes."},
                "sha256": {"type": "string", "description": "SHA-256 of that whole value, in hexadecimal digits."},
            },
        },
    },
    "control": {
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "description": "One command of the operator. Its further fields are Callwarden's own, documented with the "
            "worker; write it with Callwarden's commands.",
            "required": ["type"],
            "properties": {"type": _TYPE},
        },
    },
    "state": {
        "contentType": "application/octet-stream",
        "payload": {"description": "A part of a shard's state; an empty value removes it."},
    },
    "ingestKey": {
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "description": "A claim: an instance writes the request with this key. Or the request's answer, in the "
            "transaction of its records.",
            "required": ["type"],
            "properties": {"type": {"type": "string", "enum": ["claim", "answer"]}},
        },
    },
    "rawEvent": {
        "contentType": "application/octet-stream",
        "payload": {
            "description": "One event, as it came: JSON, or a form body. A row of a CSV file is a JSON object with the "
            "text of each of its columns. Without a key it is a tick: the clocks of the partition's sources follow it.",
        },
    },
    "rawState": {
        "contentType": "application/json",
        "payload": {"description": "An open call, one that has ended, or the progress; an empty value removes it."},
    },
    "followPosition": {
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "description": "A position in a file or a table, or the process that follows; an empty value removes it.",
            "required": ["type"],
            "properties": {"type": {"type": "string", "enum": ["claim", "file", "table"]}},
        },
    },
    "clock": {
        "contentType": "application/json",
        "payload": {
            "type": "object",
            "description": "An idle movement of a source's clock has source, offset and clock_ms (epoch ms UTC). A "
            "policy (type policy, source null) has from_ms, the event time from which it holds, sha256 as in events, "
            "and policy, the resolved text; one that was withdrawn before that (type withdraw) has from_ms and sha256. "
            "A ban of an owner that was taken, or its lifting (type owner_ban, source null), has ban, the value "
            "of the topic of owners, watermark_ms, and from_ms, the event time of its effect. "
            "Review keys (type review_keys, source reviews) have the offset from which they hold, and keys, the public "
            "keys in base64 by name. "
            "A tick (type tick) decides nothing: it has what partitions wait for, and the delays of their decisions.",
        },
    },
}
