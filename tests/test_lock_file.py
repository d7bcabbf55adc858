"""The lock file must hold plain versions of everything, so that it says nothing of the machine that made it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINES = (ROOT / "constraints.txt").read_text().splitlines()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_line_is_a_name_and_a_version_without_an_address() -> None:
    assert LINES
    for line in LINES:
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.!+-]*", line), line
        assert "://" not in line
        assert "@" not in line


def test_no_package_is_locked_twice_and_the_order_is_that_of_names() -> None:
    names = [normal(line.partition("==")[0]) for line in LINES]
    assert len(set(names)) == len(names)
    assert sorted(names) == names


def test_every_package_that_the_project_names_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *(d for extra in project["optional-dependencies"].values() for d in extra)]
    names = {normal(re.split(r"[<>=!~; \[]", requirement)[0]) for requirement in wanted}
    locked = {normal(line.partition("==")[0]) for line in LINES}
    assert names - locked == set(), "make setup would take whatever version is newest"
