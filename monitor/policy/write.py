"""Writes plain policy data as YAML 1.2 or JSON; the output resolves to the same policy."""

import io
import json
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString


def dump_yaml(plain: dict[str, Any]) -> str:
    """Small mappings and lists of words are on one line; key order is kept."""
    yaml = YAML()
    yaml.allow_unicode = True
    yaml.width = 1_000_000
    stream = io.StringIO()
    yaml.dump(_styled(plain), stream)
    return stream.getvalue()


def dump_json(plain: dict[str, Any]) -> str:
    """Indented JSON with unescaped Chinese."""
    return json.dumps(plain, ensure_ascii=False, indent=2) + "\n"


def _styled(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        mapping = CommentedMap((_key(name), _styled(item, name)) for name, item in value.items())
        if key in ("defaults", "with") or not value:
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(_styled(item) for item in value)
        if (
            not value
            or key in ("also", "terms", "unless", "actions", "exempt", "tenants")
            or (key == "rules" and isinstance(value[0], str))
        ):
            sequence.fa.set_flow_style()
        return sequence
    # Quoted if a reader could parse it as another type: YAML 1.1 readers see numbers and dates in more words.
    return DoubleQuotedScalarString(value) if isinstance(value, str) and not _is_word(value) else value


def _key(name: str) -> str:
    # Without escapes, line ends other than a line feed would be read as one. The name of a profile may have them.
    return name if name.isprintable() else DoubleQuotedScalarString(name)


def _is_word(text: str) -> bool:
    reserved = ("y", "n", "yes", "no", "on", "off", "true", "false", "null")
    return text.isidentifier() and text.lower() not in reserved
