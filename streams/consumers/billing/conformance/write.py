"""Writes the pack: a file for each scenario, and the JSON Schemas of event, answer and scenario."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from schemas.json_schema import DIALECT, schema
from streams.consumers.billing.api_models import EXAMPLES, Answer
from streams.consumers.billing.conformance.delivery_orders import delivery_orders, derived_scenarios
from streams.consumers.billing.conformance.reference import ReferenceConsumer
from streams.consumers.billing.conformance.scenarios import ConformanceScenario, scenarios

FOLDER: Final = "schemas/billing-pack"
_BYSTANDER: Final = "bystander"


def documents() -> dict[str, bytes]:
    """Every generated file: its path below the pack's folder, and its bytes."""
    by_name = {scenario.name: scenario for scenario in scenarios()}
    by_name |= {scenario.name: scenario for scenario in derived_scenarios(by_name)}
    examples = [example["value"] for example in EXAMPLES.values()]
    files = {f"scenarios/{name}.json": _bytes(document(scenario)) for name, scenario in by_name.items()}
    return files | {
        "needed.schema.json": _bytes(_NEEDED),
        "enforcement.schema.json": _bytes(schema("enforcement")),
        "answer.schema.json": _bytes({"$schema": DIALECT, **Answer.model_json_schema(), "examples": examples}),
        "scenario.schema.json": _bytes(_SCENARIO),
    }


def export(folder: Path) -> list[Path]:
    """Write them below ``folder``, and remove obsolete scenario files. Raises OSError."""
    wanted = documents()
    for stale in (folder / "scenarios").glob("*.json"):
        if f"scenarios/{stale.name}" not in wanted:
            stale.unlink()
    for name, content in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in wanted]


def document(scenario: ConformanceScenario) -> dict[str, Any]:
    """The file of a scenario."""
    texts = {name: value.decode() for name, value in scenario.events.items()}
    keys = {name: scenario.keys.get(name, next(iter(_tenants(text)), None)) for name, text in texts.items()}
    tenants = sorted({key for key in keys.values() if key is not None} | {_BYSTANDER})
    return {
        "title": {"zh": scenario.title_zh, "en": scenario.title},
        "tenants": tenants,
        "events": texts,
        **({"keys": scenario.keys} if scenario.keys else {}),
        "orders": [
            {"name": order.name, "deliveries": _answered(order.deliveries, texts, keys, tenants)}
            for order in delivery_orders(scenario)
        ],
    }


def _answered(
    deliveries: Any, texts: Mapping[str, str], keys: Mapping[str, str | None], tenants: list[str]
) -> list[dict[str, Any]]:
    consumer, by_name = ReferenceConsumer(), []
    for partition, event in deliveries:
        consumer.handle(texts[event], keys[event])
        then = {tenant: consumer.answer(tenant) for tenant in tenants}
        frozen = {tenant: answer for tenant, answer in then.items() if answer["refundable"] is False}
        unanswered = [tenant for tenant, answer in then.items() if answer["refundable"] is None]
        more = {"unanswered": unanswered} if unanswered else {}
        by_name.append({"partition": partition, "event": event, "frozen": frozen, **more})
    return by_name


def _tenants(text: str) -> list[str]:
    try:
        return [json.loads(text)["subject"]]
    except ValueError:
        return []


def _bytes(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


_ID: Final = {"type": "string", "minLength": 1, "maxLength": 128}
_ID_OR_NONE: Final = {"anyOf": [{"type": "string", "maxLength": 128}, {"type": "null"}], "default": None}
_NEEDED: Final[dict[str, Any]] = {
    "$schema": DIALECT,
    "title": "The fields of an enforcement event that billing needs",
    "description": "Require no other field: unknown fields and a newer type are valid.",
    "type": "object",
    "required": ["id", "subject", "data"],
    "properties": {
        "id": {**_ID, "description": "The key: handling an id again changes nothing."},
        "subject": {**_ID, "description": "The tenant. Two tenants are equal if all code points are equal."},
        "data": {
            "type": "object",
            "required": ["refunds"],
            "properties": {
                "refunds": {
                    "enum": ["frozen", "released", "unaffected"],
                    "description": "frozen: a hold on refunds and cancellations is added under the id. The other two "
                    "add none.",
                },
                "reverses": {
                    **_ID_OR_NONE,
                    "description": 'The id whose hold is removed; null, "" or absent: none.',
                },
                "supersedes": {**_ID_OR_NONE, "description": "As reverses."},
            },
        },
    },
}
_SCENARIO: Final[dict[str, Any]] = {
    "$schema": DIALECT,
    "title": "A scenario of the conformance pack",
    "type": "object",
    "required": ["title", "tenants", "events", "orders"],
    "additionalProperties": False,
    "properties": {
        "title": {
            "type": "object",
            "required": ["zh", "en"],
            "properties": {"zh": {"type": "string"}, "en": {"type": "string"}},
        },
        "tenants": {"type": "array", "items": _ID, "description": "The tenants to ask about after each delivery."},
        "events": {
            "type": "object",
            "additionalProperties": {"type": "string"},
            "description": "The values of the records by name, byte for byte (UTF-8).",
        },
        "keys": {
            "type": "object",
            "additionalProperties": {"anyOf": [_ID, {"type": "null"}]},
            "description": "The keys of the records whose key is not their event's subject; null: no key.",
        },
        "orders": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "deliveries"],
                "description": "A delivery order, for a consumer with an empty database.",
                "properties": {
                    "name": {"type": "string"},
                    "deliveries": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["partition", "event", "frozen"],
                            "properties": {
                                "partition": {"type": "integer", "minimum": 0},
                                "event": {"type": "string"},
                                "unanswered": {
                                    "type": "array",
                                    "items": _ID,
                                    "minItems": 1,
                                    "description": "The tenants that get no answer: a record that may concern "
                                    "them cannot be read.",
                                },
                                "frozen": {
                                    "type": "object",
                                    "description": "The tenants that may not be refunded and may not cancel. All "
                                    "others with an answer are refundable and cancellable.",
                                    "additionalProperties": {
                                        "type": "object",
                                        "required": ["refundable", "cancellable", "since_ms", "holds"],
                                        "properties": {
                                            "refundable": {"const": False},
                                            "cancellable": {"const": False},
                                            "since_ms": {"type": "integer"},
                                            "holds": {"type": "array", "items": _ID, "minItems": 1},
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
