"""JSON Schemas of every input and output record, generated from the Structs."""

from inspect import cleandoc
from typing import Any, Final

import msgspec

from schemas.actions import Action
from schemas.codec import MAX_DEPTH, encode
from schemas.evidence import EvidencePlaces
from schemas.examples import EXAMPLES
from schemas.inputs import Application, Cdr, Complaint, Finding, Review, Tenant
from schemas.measures import TenantHour
from schemas.outputs import Alert, Enforcement, JudgedWindow, Rejected
from schemas.owners import OwnerBan

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

INPUTS: Final[dict[str, type[msgspec.Struct]]] = {
    "cdr": Cdr,
    "complaint": Complaint,
    "finding": Finding,
    "tenant": Tenant,
    "application": Application,
    "review": Review,
}
OUTPUTS: Final[dict[str, type[msgspec.Struct]]] = {
    "enforcement": Enforcement,
    "alert": Alert,
    "owner_ban": OwnerBan,
    "evidence": EvidencePlaces,
    "measures": TenantHour,
    "action": Action,
    "window": JudgedWindow,
    "rejected": Rejected,
}
RECORDS: Final = INPUTS | OUTPUTS
"""Every record by the name of its schema."""

# The schema states where the reader is stricter than JSON Schema can express.
READER_NOTE: Final = (
    'Unknown fields are ignored. An optional field may be null, "" or left out, which all mean null. The reader is '
    "stricter than this schema: an integer written with a fraction or an exponent (1.0, 1e3), which JSON Schema takes "
    "for an integer, is rejected, and so are bytes that are not UTF-8, an escaped lone surrogate, nesting deeper than "
    f"{MAX_DEPTH}, and what is said here about several fields together."
)


def components(ref_template: str) -> dict[str, Any]:
    """The schemas of all records and their parts by the names of the Structs; ``ref_template`` holds ``{name}``."""
    found: dict[str, Any]
    _, found = msgspec.json.schema_components(tuple(RECORDS.values()), ref_template=ref_template)
    for name, struct in RECORDS.items():
        schema = found[struct.__name__]
        schema["examples"] = [example(name)]
    for schema in found.values():
        schema["description"] = cleandoc(schema["description"]).replace("``", "")
    inputs = {struct.__name__ for struct in INPUTS.values()}
    for name, schema in found.items():
        if name in inputs:
            schema["description"] += "\n\n" + READER_NOTE
        elif name != Rejected.__name__:
            _always_written(schema)
    return found


def _always_written(schema: dict[str, Any]) -> None:
    """Removes defaults, which only serve to create the Struct: every field of an output is always written."""
    if "properties" not in schema:  # a Struct that is written as an array
        return
    schema["required"] = list(schema["properties"])
    for field in schema["properties"].values():
        field.pop("default", None)


def schema(name: str) -> dict[str, Any]:
    """The self-contained JSON Schema (draft 2020-12) of the record ``name``; its parts are in ``$defs``."""
    parts = components("#/$defs/{name}")
    top: dict[str, Any] = parts.pop(RECORDS[name].__name__)
    used = _used(top, parts)
    head = {"$schema": DIALECT, "$id": f"urn:callwarden:schema:{name}"}
    return head | top | ({"$defs": {part: parts[part] for part in sorted(used)}} if used else {})


def example(name: str) -> Any:
    """The example of the record ``name`` as JSON values; of an input and a rejected line without optional nulls."""
    value: Any = msgspec.json.decode(encode(EXAMPLES[name]))
    if name in OUTPUTS and OUTPUTS[name] is not Rejected:
        return value
    optional = {f.encode_name for f in msgspec.structs.fields(RECORDS[name]) if not f.required}
    return {field: v for field, v in value.items() if v is not None or field not in optional}


def _used(node: Any, parts: dict[str, Any]) -> set[str]:
    """The names of ``parts`` that ``node`` refers to, directly or through others."""
    if isinstance(node, list):
        return set().union(*(_used(item, parts) for item in node))
    if not isinstance(node, dict):
        return set()
    found = set().union(*(_used(value, parts) for value in node.values()))
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    return found | {name} | _used(parts[name], parts) if name in parts else found
