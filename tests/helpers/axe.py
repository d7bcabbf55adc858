"""axe-core, which finds what keeps people with disabilities from a page. `make tools` fetches it by npm.

`PYTHONPATH=tests python -m helpers.axe` only fetches it; it is never a part of Callwarden.
"""

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

VERSION: Final = "4.14.1"
SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
SCRIPT: Final = Path(__file__).parents[2] / ".tools" / "axe-core" / f"axe-{VERSION}.min.js"


def fetch() -> Path:
    """The script; fetches it by npm if it is not there yet. Raises OSError, CalledProcessError or ValueError."""
    if SCRIPT.exists():
        return SCRIPT
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
        packed = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
        with tarfile.open(Path(folder) / packed) as archive:
            member = archive.extractfile("package/axe.min.js")
            body = member.read() if member else b""
    if (found := hashlib.sha256(body).hexdigest()) != SHA256:
        raise ValueError(f"axe-core {VERSION}: SHA-256 {found}; expected {SHA256}")
    SCRIPT.parent.mkdir(parents=True, exist_ok=True)
    unfinished = SCRIPT.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(body)
    unfinished.replace(SCRIPT)
    return SCRIPT


def violations(browser: Any, exclude: Sequence[str] = ()) -> list[str]:
    """What axe-core finds on the page that ``browser`` shows, by the rules of WCAG 2.2 A and AA and best practices:
    a line for each element. Skips the test if axe-core is absent."""
    if not SCRIPT.exists():
        # pip cannot install it, and most changes touch no page. Where services are required, `tests/conftest.py` makes
        # this skip a failure, so that no page is merged unchecked.
        pytest.skip(f"axe-core is not in {SCRIPT.parent}; run `make tools`")
    # By the protocol of the developer tools: the page's own policy lets no other script in.
    browser.execute_cdp_cmd("Runtime.evaluate", {"expression": SCRIPT.read_text("utf-8")})
    context = json.dumps({"include": [["html"]], "exclude": [[selector] for selector in exclude]})
    options = json.dumps({"resultTypes": ["violations"], "rules": {"target-size": {"enabled": False}}})
    run = f"axe.run({context}, {options}).then(found => JSON.stringify(found.violations))"
    asked = {"expression": run, "awaitPromise": True, "returnByValue": True}
    answer = browser.execute_cdp_cmd("Runtime.evaluate", asked)["result"]
    return [
        f"{rule['id']}: {node['target']}: {node['html'][:160]}: {node.get('failureSummary', '')[:300]}"
        for rule in json.loads(answer["value"])
        for node in rule["nodes"][:5]
    ]


if __name__ == "__main__":
    try:
        print(f"axe-core {VERSION} is in {fetch()}")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"axe-core {VERSION} cannot be fetched: {error}", file=sys.stderr)
        sys.exit(1)
