"""In parallel runs, the files that take longest begin first."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


def test_every_long_file_is_there(pytestconfig: pytest.Config) -> None:
    """Otherwise it was renamed, and would begin last."""
    conftest = pytestconfig.pluginmanager.get_plugin(str(TESTS / "conftest.py"))
    assert conftest is not None
    assert {name: len(list(TESTS.rglob(name))) for name in conftest.LONG_FILES} == dict.fromkeys(conftest.LONG_FILES, 1)
