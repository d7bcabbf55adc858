"""The release before this one, out of the history of the repository, to run its workers beside those of this tree."""

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
COMMIT: Final = "cd30da1e13e32a4915d382d7f214981f22f7937b"
"""The last commit that knew format 2 alone. With the next format this becomes the last one that knew 2 and 3."""


def environment_of(folder: Path) -> dict[str, str]:
    """What makes a Python run that release's code, laid out in ``folder``; a clone without it skips the test."""
    asked = ["git", "-C", str(ROOT), "archive", COMMIT, "monitor", "schemas", "streams"]
    done = subprocess.run(asked, capture_output=True, check=False, timeout=60)
    if done.returncode:
        pytest.skip(f"the release before is not in this clone: {done.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    # Without the safe path the folder in which the tests run would come first.
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}
