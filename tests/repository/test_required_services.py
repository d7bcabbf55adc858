"""Where services are required, a test that skips itself because one is absent must not pass unnoticed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# The file of an inner run of pytest. No test of Callwarden is skipped here.
SUITE = """
import pytest

@pytest.mark.services
def test_with_a_service():
    pytest.skip("no broker here")  # the skip under test, in a test

@pytest.mark.services
@pytest.mark.skipif(True, reason="no database here")  # the skip under test, by a mark
def test_with_another():
    pass

@pytest.fixture
def kafka():
    pytest.skip("no node here")  # the skip under test, in a fixture

@pytest.fixture
def platform(kafka):
    pass

@pytest.mark.soak
def test_for_long(platform):
    pass

@pytest.mark.soak
def test_for_long_without_a_service():
    pytest.skip("no data here")  # the skip under test, of another kind than services

def test_without_a_service():
    pytest.skip("other reasons")  # the skip under test, of a test that needs no service
"""


@pytest.mark.parametrize(
    ("required", "status", "closing"), [("1", 1, "1 failed, 2 skipped, 2 errors"), ("", 0, "5 skipped")]
)
def test_a_skipped_service_test_fails_exactly_where_services_are_required(
    tmp_path: Path, required: str, status: int, closing: str
) -> None:
    for name in ("conftest.py", "leftover_processes.py"):
        (tmp_path / name).write_text((Path(__file__).parents[1] / name).read_text())
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p no:schemathesis -p no:anyio\nmarkers =\n    services: x\n    soak: x\n"
    )
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)],
        env=os.environ | {"CALLWARDEN_REQUIRE_SERVICES": required},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert closing in done.stdout
    assert ("no broker here" in done.stdout) is bool(required)
