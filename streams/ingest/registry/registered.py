"""A schema as the registry has it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """``kind`` is AVRO, PROTOBUF or JSON. ``references`` are the schemas that it refers to, by the names under which it
    does, each after those that it refers to itself.
    """

    kind: str
    text: str
    references: dict[str, str] = field(default_factory=dict)
