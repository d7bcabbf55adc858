"""In parallel runs, the files that take longest begin first; no test is left to no target."""

import re
import tomllib
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_every_long_file_is_there(pytestconfig: pytest.Config) -> None:
    """Otherwise it was renamed, and would begin last."""
    conftest = pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    assert conftest is not None
    assert {name: len(list(TESTS.rglob(name))) for name in conftest.LONG_FILES} == dict.fromkeys(conftest.LONG_FILES, 1)


def test_every_marker_that_the_fast_suite_leaves_out_is_run_by_another_target() -> None:
    makefile = (TESTS.parent / "Makefile").read_text("utf-8")
    options = tomllib.loads((TESTS.parent / "pyproject.toml").read_text("utf-8"))["tool"]["pytest"]["ini_options"]
    markers = {marker.partition(":")[0] for marker in options["markers"]}
    left_out = re.search(r"^FAST := (.*)$", makefile, re.MULTILINE)
    assert left_out
    assert set(left_out[1].split(" and ")) == {f"not {marker}" for marker in markers}
    assert f"-m '{left_out[1]}'" in options["addopts"]
    run = re.findall(r"^test-services:.*\n\t.* -m '(.*?)'|^soak:.*\n\t.* -m (\w+)", makefile, re.MULTILINE)
    assert {marker for one in run for each in one if each for marker in each.split(" or ")} == markers
