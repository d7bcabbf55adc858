"""Shared by all tests. Its being here puts this folder on the path, so that `import oracle` works everywhere."""

import os
from collections.abc import Generator

import pytest

# Of `broker/conftest.py`: who asks for one of these needs a service, also when its marker says `soak`.
_SERVICES = {"jars", "kafka", "postgres"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CALLWARDEN_REQUIRE_SERVICES=1 a service test that would be skipped fails: CI must not pass by absence."""
    report = yield
    required = os.environ.get("CALLWARDEN_REQUIRE_SERVICES") == "1"
    needing = item.get_closest_marker("services") or not _SERVICES.isdisjoint(getattr(item, "fixturenames", ()))
    if required and needing and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CALLWARDEN_REQUIRE_SERVICES=1, but the test was skipped: {report.longreprtext}"
    return report
