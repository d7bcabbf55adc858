"""Puts this folder on the path: tests can then `import ingest_service`."""

import pytest


@pytest.fixture(autouse=True)
def _services_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that ends waits for the requests under way, and no longer: no load balancer sends more."""
    monkeypatch.setattr("streams.ingest.http.main._SETTLED_S", 0.01)
