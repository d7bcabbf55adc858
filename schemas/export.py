"""Writes the exported documents to a folder, and lists which files there differ from the code.

Layout: ``json/<record>.schema.json`` for each record, and ``asyncapi.json``.
"""

import json
from pathlib import Path
from typing import Any, Final

from schemas import asyncapi
from schemas.json_schema import RECORDS, schema

COMMITTED: Final = Path(__file__).parent
"""Where the exported documents are committed and installed: the package's own folder."""


def documents() -> dict[str, bytes]:
    """Every exported file: its path below the folder, with slashes, and its bytes."""
    files = {f"json/{name}.schema.json": _bytes(schema(name)) for name in RECORDS}
    return files | {"asyncapi.json": _bytes(asyncapi.document())}


def export(folder: Path) -> list[Path]:
    """Write all documents below ``folder``, creating it if needed; returns the written files.

    Schemas of records that no longer exist are removed. Raises OSError if the folder is not writable.
    """
    wanted = documents()
    for stale in _stale(folder, wanted):
        stale.unlink()
    written = []
    for name, content in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        written.append(path)
    return written


def differences(folder: Path) -> list[str]:
    """One line for each document in ``folder`` that is missing, differs, or is obsolete; empty if all match."""
    wanted = documents()
    found = []
    for name, content in wanted.items():
        path = folder / name
        if not path.is_file():
            found.append(f"{path}: missing")
        elif path.read_bytes() != content:
            found.append(f"{path}: differs from what the code generates")
    return found + [f"{path}: no record has this schema" for path in _stale(folder, wanted)]


def _stale(folder: Path, wanted: dict[str, bytes]) -> list[Path]:
    return sorted(p for p in (folder / "json").glob("*.schema.json") if f"json/{p.name}" not in wanted)


def _bytes(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()
