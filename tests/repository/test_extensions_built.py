"""The extensions that are listed are those that are built, and each build checks that it has them."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from streams.cli import extensions

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
BUILDS = [".ci/run", "deploy/Dockerfile", "pyproject.toml"]


def test_every_extension_of_the_project_is_listed() -> None:
    assert list(extensions.in_use()) == sorted(one["name"] for one in PROJECT["tool"]["setuptools"]["ext-modules"])


def test_the_sources_of_an_extension_and_what_they_include_are_named() -> None:
    """A header that is not named is not in a source distribution, and its change builds nothing."""
    for one in PROJECT["tool"]["setuptools"]["ext-modules"]:
        [source] = map(Path, one["sources"])
        named, found, left = {Path(name) for name in one["depends"]}, set[Path](), [source]
        while left:
            path = left.pop()
            included = re.findall(r'#include "([^"]+)"', (ROOT / path).read_text("utf-8"))
            new = {(ROOT / path.parent / name).resolve().relative_to(ROOT) for name in included} - found
            found |= new
            left += new
        assert named == found, one["name"]


@pytest.mark.skipif(
    bool(extensions.missing()), reason="an extension is not built: no C compiler (`.ci/run` requires it)"
)
@pytest.mark.parametrize("file", BUILDS)
def test_a_build_checks_that_the_extensions_are_there(file: str) -> None:
    """The command itself: a build is rare, and a name in it is checked by nothing else."""
    text = (ROOT / file).read_text("utf-8").replace('\\"', '"')
    [(_, program)] = re.findall(r"""-c (["'])((?:(?!\1).)*missing\(\)(?:(?!\1).)*)\1""", text)
    assert "assert not" in program
    for without, status in (("", 0), ("1", 1)):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={"CALLWARDEN_NO_EXTENSIONS": without, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
        )
        assert done.returncode == status, done.stderr.decode()
        assert status == 0 or b"AssertionError" in done.stderr
