"""The file of review keys: the public keys whose signatures a worker accepts, by name.

keys:
  li-min: 3pB2aM1y8Qm8b0S3O4v3c9bqz1yq1bX4m3x7bq0O8lA=
  console: h1r7uJ3dVfY0V0w1z5yV3M7k9m7bJ2Jmsm8mJpZ6h0c=
"""

from pathlib import Path
from typing import Any

from monitor.decoding.review_keys import MAX_KEYS, public_key
from monitor.policy.file.errors import PolicyError, PolicyFault
from monitor.policy.file.yaml_source import YamlPath, parse
from schemas.review_signature import name_fault


def read_review_keys(path: Path) -> dict[str, str]:
    """The public keys in base64, by name; empty if the file says so. Raises PolicyError with every fault."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise PolicyError([PolicyFault(str(path), 1, 1, f"cannot be read ({why}); expected a file in UTF-8")]) from None
    if not text.strip():
        raise PolicyError([PolicyFault(str(path), 1, 1, f"the file is empty; {_EXPECTED}")])
    source = parse(text, str(path))
    keys, faults = _keys(YamlPath(source), source.data)
    if faults:
        raise PolicyError(faults)
    return keys


_EXPECTED = "expected `keys:` with lines `NAME: PUBLIC KEY`, or `keys: {}` to accept reviews without a signature"


def _keys(at: YamlPath, data: Any) -> tuple[dict[str, str], list[PolicyFault]]:
    faults: list[PolicyFault] = []
    if not isinstance(data, dict) or "keys" not in data:
        return {}, [at.fault(_EXPECTED)]
    faults += [at.child(name).key_fault(f"unknown; {_EXPECTED}") for name in data if name != "keys"]
    if not isinstance(data["keys"], dict):
        return {}, [*faults, at.child("keys").fault(_EXPECTED)]
    keys: dict[str, str] = {}
    known: dict[object, object] = {}
    here = at.child("keys")
    for name, text in data["keys"].items():
        one = here.child(name)
        if fault := name_fault(name):
            faults.append(one.key_fault(f"the name of a key: {fault}"))
            continue
        try:
            public_key(text if isinstance(text, str) else "?")
        except ValueError as error:
            faults.append(one.fault(f"{name}: {error}"))
            continue
        if text in known:
            # One of two names would vouch for what the other has signed.
            faults.append(one.fault(f"{name}: {known[text]} has the same key; expected a key for each name"))
            continue
        known[text] = name
        keys[name] = text
    if len(data["keys"]) > MAX_KEYS:
        faults.append(here.fault(f"{len(data['keys'])} keys; expected at most {MAX_KEYS}"))
    return keys, faults
