"""The vendored libraries are those of the manifest, unmodified, each with its licence."""

import hashlib
import json
from pathlib import Path

VENDOR = Path(__file__).parents[4] / "streams" / "console" / "static" / "vendor"
MANIFEST = json.loads((VENDOR / "manifest.json").read_text())
FILES = {file["to"]: file["sha256"] for package in MANIFEST for file in package["files"]}


def test_each_file_has_the_hash_of_the_manifest() -> None:
    found = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.iterdir()}
    del found["manifest.json"]
    assert found == FILES


def test_each_package_has_a_version_and_its_licence() -> None:
    for package in MANIFEST:
        assert package["version"].count(".") == 2
        assert any(file["to"].endswith(".LICENSE.txt") for file in package["files"])
