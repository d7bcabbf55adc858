"""The AsyncAPI document names every topic of the contract, and follows the structure of AsyncAPI 3.0."""

import re
from typing import Any

import pytest
from jsonschema import Draft7Validator

from schemas.asyncapi import document
from schemas.error_codes import ErrorCode

DOCUMENT = document()

# Section 1 of the contract: topic, what Callwarden does there, and the messages.
TOPICS = {
    "callwarden.cdr": ("receive", {"cdr"}),
    "callwarden.complaints": ("receive", {"complaint"}),
    "callwarden.findings": ("receive", {"finding"}),
    "callwarden.tenants": ("receive", {"tenant", "application"}),
    "callwarden.reviews": ("receive", {"review"}),
    "callwarden.enforcement": ("send", {"enforcement"}),
    "callwarden.alerts": ("send", {"alert"}),
    "callwarden.late": ("send", {"lateCdr"}),
    "callwarden.dead-letter": ("send", {"deadLetter"}),
    "callwarden.shadow": ("send", {"shadow"}),
    "callwarden.evidence": ("send", {"evidence"}),
    "callwarden.measures": ("send", {"measures"}),
    "callwarden.owners": ("send receive", {"owner_ban"}),
    "callwarden.control": ("receive", {"control"}),
    "callwarden.state": ("send receive", {"state"}),
    "callwarden.clock": ("send receive", {"clock"}),
    "callwarden.actions": ("send", {"action"}),
    "callwarden.ingest-keys": ("send receive", {"ingestKey"}),
    "callwarden.raw": ("send receive", {"rawEvent"}),
    "callwarden.raw-state": ("send receive", {"rawState"}),
    "callwarden.follow": ("send receive", {"followPosition"}),
}

# The fields that AsyncAPI 3.0 and its Kafka binding 0.5.0 define; any other must begin with x-.
FIELDS = {
    "document": {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"},
    "info": {"title", "version", "description", "termsOfService", "contact", "license", "tags", "externalDocs"},
    "channel": {"address", "messages", "title", "summary", "description", "servers", "parameters", "tags"}
    | {"externalDocs", "bindings"},
    "operation": {"action", "channel", "title", "summary", "description", "security", "tags", "externalDocs"}
    | {"bindings", "traits", "messages", "reply"},
    "message": {"headers", "payload", "correlationId", "contentType", "name", "title", "summary", "description"}
    | {"tags", "externalDocs", "bindings", "examples", "traits"},
    "example": {"headers", "payload", "name", "summary"},
    "components": {"schemas", "servers", "channels", "operations", "messages", "securitySchemes", "serverVariables"}
    | {"parameters", "correlationIds", "replies", "replyAddresses", "externalDocs", "tags", "operationTraits"}
    | {"messageTraits", "serverBindings", "channelBindings", "operationBindings", "messageBindings"},
    "kafka channel": {"topic", "partitions", "replicas", "topicConfiguration", "bindingVersion"},
    "kafka message": {"key", "schemaIdLocation", "schemaIdPayloadEncoding", "schemaLookupStrategy", "bindingVersion"},
    "kafka topic": {"cleanup.policy", "retention.ms", "retention.bytes", "delete.retention.ms", "max.message.bytes"},
}
NAME = re.compile(r"[A-Za-z0-9._-]+")


def follow(ref: str) -> Any:
    assert ref.startswith("#/"), f"{ref}: the document must stand alone"
    node: Any = DOCUMENT
    for step in ref[2:].split("/"):
        node = node[step]
    return node


def walk(node: Any) -> Any:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


def known(kind: str, node: dict[str, Any]) -> None:
    assert set(node) <= FIELDS[kind], f"{kind}: {set(node) - FIELDS[kind]}"


def messages_of(node: dict[str, Any]) -> dict[str, Any]:
    return {name: follow(ref["$ref"]) for name, ref in node["messages"].items()}


def inline(node: Any) -> Any:
    """A schema with its refs into the document resolved by copying: none of ours is recursive."""
    if isinstance(node, list):
        return [inline(item) for item in node]
    if not isinstance(node, dict):
        return node
    return inline(follow(node["$ref"])) if "$ref" in node else {key: inline(value) for key, value in node.items()}


def test_every_topic_of_the_contract_is_there_with_its_direction_and_messages() -> None:
    found = {}
    for name, channel in DOCUMENT["channels"].items():
        actions = [
            operation["action"]
            for operation in DOCUMENT["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{name}"
        ]
        found[channel["address"]] = (" ".join(actions), set(channel["messages"]))
    assert found == TOPICS


def test_the_document_has_the_structure_of_asyncapi_3() -> None:
    assert re.fullmatch(r"3\.0\.\d+", DOCUMENT["asyncapi"])
    known("document", DOCUMENT)
    known("info", DOCUMENT["info"])
    known("components", DOCUMENT["components"])
    assert DOCUMENT["info"]["title"]
    assert DOCUMENT["info"]["version"]
    assert set(DOCUMENT["info"]["license"]) == {"name"}
    for group in DOCUMENT["components"].values():
        assert all(NAME.fullmatch(name) for name in group)


@pytest.mark.parametrize("name", DOCUMENT["channels"])
def test_a_channel_has_an_address_messages_and_its_kafka_binding(name: str) -> None:
    channel = DOCUMENT["channels"][name]
    known("channel", channel)
    assert "{" not in channel["address"], "no parameters are declared"
    assert channel["messages"]
    assert all(set(ref) == {"$ref"} for ref in channel["messages"].values())
    assert list(channel["bindings"]) == ["kafka"]
    kafka = channel["bindings"]["kafka"]
    known("kafka channel", kafka)
    assert kafka["topic"] == channel["address"]
    assert kafka["bindingVersion"] == "0.5.0"
    config = kafka.get("topicConfiguration", {})
    known("kafka topic", config)
    assert set(config.get("cleanup.policy", [])) <= {"delete", "compact"}


def test_enforcement_is_never_compacted_and_never_expires() -> None:
    config = DOCUMENT["channels"]["enforcement"]["bindings"]["kafka"]["topicConfiguration"]
    assert config == {"cleanup.policy": ["delete"], "retention.ms": -1, "retention.bytes": -1}


@pytest.mark.parametrize("name", DOCUMENT["operations"])
def test_an_operation_points_at_messages_of_its_own_channel(name: str) -> None:
    operation = DOCUMENT["operations"][name]
    known("operation", operation)
    assert operation["action"] in ("send", "receive")
    channel = operation["channel"]["$ref"]
    assert re.fullmatch(r"#/channels/\w+", channel)
    assert follow(channel)
    assert operation["messages"]
    for ref in operation["messages"]:
        assert ref["$ref"].startswith(f"{channel}/messages/")
        assert follow(ref["$ref"])


@pytest.mark.parametrize("name", DOCUMENT["components"]["messages"])
def test_a_message_has_payload_media_type_key_and_examples_that_fit(name: str) -> None:
    message = DOCUMENT["components"]["messages"][name]
    known("message", message)
    known("kafka message", message["bindings"]["kafka"])
    key = message["bindings"]["kafka"]["key"]
    assert key["type"] == "string"
    assert key["description"]
    assert re.fullmatch(r"application/[a-z+-]+", message["contentType"])
    payload = inline(message["payload"])
    Draft7Validator.check_schema(payload)
    for sample in message.get("examples", []):
        known("example", sample)
        Draft7Validator(payload).validate(sample["payload"])
    if "headers" in message:
        Draft7Validator.check_schema(message["headers"])
        assert message["headers"]["type"] == "object"
    used = [channel for channel in DOCUMENT["channels"].values() if name in channel["messages"]]
    assert used, "no channel carries it"


def test_every_message_of_a_record_has_an_example() -> None:
    own = {"deadLetter", "control", "state", "clock", "ingestKey", "rawEvent", "rawState", "followPosition"}
    without = {name for name, m in DOCUMENT["components"]["messages"].items() if "examples" not in m}
    assert without == own


def test_every_reference_leads_somewhere_and_stands_alone_in_its_object() -> None:
    refs = [node for node in walk(DOCUMENT) if "$ref" in node]
    assert len(refs) > 40
    for node in refs:
        assert follow(node["$ref"])
        # Readers of AsyncAPI ignore everything next to a $ref.
        assert set(node) == {"$ref"}


def test_every_key_is_the_tenant_but_where_the_contract_says_otherwise() -> None:
    other = {
        name
        for channel in DOCUMENT["channels"].values()
        for name, message in messages_of(channel).items()
        if "tenant_id" not in message["bindings"]["kafka"]["key"]["description"]
    }
    own = {"deadLetter", "control", "state", "clock", "ingestKey", "rawEvent", "rawState", "followPosition"}
    assert other == {*own, "owner_ban", "action"}


def test_a_dead_letter_carries_its_reason_in_a_header_with_every_code_word() -> None:
    message = DOCUMENT["components"]["messages"]["deadLetter"]
    assert message["headers"]["required"] == ["reason"]
    text = message["headers"]["properties"]["reason"]["description"]
    assert all(fault in text for fault in ErrorCode)


def test_decisions_are_cloudevents_in_structured_mode() -> None:
    for name in ("enforcement", "shadow"):
        message = DOCUMENT["components"]["messages"][name]
        assert message["contentType"] == "application/cloudevents+json"
        assert message["headers"]["properties"]["content-type"]["const"] == "application/cloudevents+json"
