"""The lock files hold versions and hashes of everything, and nothing about the machine that made them."""

import os
import re
import shlex
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
ALL = ROOT / "constraints.txt"
IMAGE = ROOT / "deploy" / "constraints.txt"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
DEVELOPMENT = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
OF_THE_IMAGE = [
    *PROJECT["dependencies"],
    *PROJECT["optional-dependencies"]["registry"],
    *PROJECT["optional-dependencies"]["mysql"],
]
BUILD = PYPROJECT["dependency-groups"]["build"]
ENTRY = re.compile(
    r"(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)==(?P<version>[0-9][a-z0-9.!+]*)(?: ; (?P<marker>[a-zA-Z0-9_.' =<>!()]+))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")


class Locked(NamedTuple):
    version: str
    marker: str | None
    hashes: str

    def applies(self) -> bool:
        return self.marker is None or Marker(self.marker).evaluate()


def entries(path: Path) -> list[tuple[str, Locked]]:
    found = ENTRY.finditer(path.read_text("ascii"))
    return [(entry["name"], Locked(entry["version"], entry["marker"], entry["hashes"])) for entry in found]


def closure(requirements: list[str]) -> set[str]:
    """The names of everything that the requirements bring on this Python, according to the installed packages."""
    names: set[str] = set()
    done: set[tuple[str, str]] = set()
    waiting = [(Requirement(text), "") for text in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        names.add(name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in done:
                done.add((name, wanted))
                waiting += [(Requirement(text), wanted) for text in metadata.requires(name) or ()]
    return names


@pytest.mark.parametrize("path", [ALL, IMAGE], ids=["all", "image"])
def test_every_entry_is_a_version_with_hashes_and_nothing_else_is_in_the_file(path: Path) -> None:
    text = path.read_text("ascii")
    assert text
    assert ENTRY.sub("", text) == ""


@pytest.mark.parametrize("path", [ALL, IMAGE], ids=["all", "image"])
def test_no_package_is_locked_twice_and_the_order_is_that_of_names(path: Path) -> None:
    names = [name for name, _ in entries(path)]
    assert len(set(names)) == len(names)
    assert sorted(names) == names


@pytest.mark.parametrize(
    ("path", "wanted"),
    [(ALL, [*PROJECT["dependencies"], *DEVELOPMENT, *BUILD]), (IMAGE, [*OF_THE_IMAGE, *BUILD])],
    ids=["all", "image"],
)
def test_every_package_that_the_project_names_is_locked_within_its_bounds(path: Path, wanted: list[str]) -> None:
    locked = dict(entries(path))
    for text in wanted:
        requirement = Requirement(text)
        found = locked.get(canonicalize_name(requirement.name))
        assert found is not None, f"{path.name} has no {requirement.name}: make lock"
        assert found.version in requirement.specifier, f"{path.name} has {found.version} of {text}: make lock"
        assert found.applies()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [(ALL, [*PROJECT["dependencies"], *DEVELOPMENT, *BUILD]), (IMAGE, [*OF_THE_IMAGE, *BUILD])],
    ids=["all", "image"],
)
def test_a_lock_file_holds_what_these_packages_bring_and_no_more(path: Path, wanted: list[str]) -> None:
    assert {name for name, locked in entries(path) if locked.applies()} == closure(wanted), "make lock"


def test_the_image_has_the_versions_and_hashes_that_were_tested() -> None:
    # Markers may differ: a package that the tests need on one more platform has a wider one there.
    tested = {(name, locked.version, locked.hashes) for name, locked in entries(ALL)}
    assert [name for name, locked in entries(IMAGE) if (name, locked.version, locked.hashes) not in tested] == [], (
        "make lock"
    )


def test_the_build_requirements_equal_the_locked_build_group() -> None:
    """Without build isolation pip ignores `build-system.requires`."""
    assert PYPROJECT["build-system"]["requires"] == BUILD


def test_the_lock_is_made_for_the_oldest_python_that_is_supported() -> None:
    oldest = re.match(r">=([0-9.]+)", PROJECT["requires-python"])
    assert oldest
    assert f"--universal --python-version {oldest[1]} " in (ROOT / "Makefile").read_text()


def installs(commands: str) -> list[list[str]]:
    """The arguments of each `pip install` in these shell commands."""
    return [shlex.split(found) for found in re.findall(r"\bpip install ([^;&|\n]*)", commands)]


def in_make(target: str) -> str:
    # The flags of a make that runs these tests do not apply to this one.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    }
    run = ["make", "--dry-run", "--always-make", "--no-print-directory", target]
    return subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("commands", ["setup", "test-all-pythons", "the image"])
def test_every_install_compares_hashes(commands: str) -> None:
    found = installs(DOCKERFILE if commands == "the image" else in_make(commands).replace("\\\n", " "))
    assert len(found) == 2
    dependencies, project = found
    assert "--require-hashes" in dependencies
    assert dependencies[-2:] == ["-r", "constraints.txt"]
    assert {"--no-index", "--no-deps", "--no-build-isolation"} <= set(project), "pip would fetch what no hash covers"
    assert project[-1] == "."
