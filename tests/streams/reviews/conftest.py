"""The present, in which reviews are given, and what a reviewer's terminal finds."""

import asyncio
import time
from pathlib import Path

import pytest
from review_broker import NOW
from review_terminal import FakeCluster, follow

from helpers.ledger_samples import put
from oracle.ledger import DAY, T0, event, pending
from schemas.outputs import Evidence
from streams.reviews import service as module


@pytest.fixture
def the_present(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(NOW, NOW + 10**6))
    monkeypatch.setattr(time, "time_ns", lambda: next(now) * 1_000_000)
    monkeypatch.setattr(module, "_LOOK_S", 0.001)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """Decisions of several kinds, which the ledger has followed: some wait for a review."""
    fake = FakeCluster()
    monkeypatch.setattr("streams.kafka.cluster.KafkaCluster", lambda *_: fake)
    # Otherwise its stream would be closed for later tests.
    monkeypatch.setattr("streams.runtime.logging.set_up_logs", lambda *_: None)
    monkeypatch.setattr(time, "time_ns", lambda: NOW * 1_000_000)
    monkeypatch.setenv("CALLWARDEN_INPUT_PREFIX", "in.")
    monkeypatch.setenv("CALLWARDEN_OUTPUT_PREFIX", "out.")
    monkeypatch.setenv("CALLWARDEN_LEDGER_DATABASE", f"sqlite:///{tmp_path / 'ledger.db'}")
    evidence = Evidence(finding_ids=("f1", "f2"))
    put(
        fake, 0,
        pending("cwe-late", review_by_ms=NOW + 3 * DAY, rule_id="business"),
        pending("cwe-soon", "bravo", review_by_ms=NOW + 90 * 60_000, evidence=evidence),
        event("cwe-warn", decided_ms=T0 + 5),
        event("cwe-warn-2", decided_ms=T0 + 6),
        event("cwe-gone", decided_ms=T0 + 7),
        event("cwe-back", kind="reversal", reverses="cwe-gone", decided_ms=T0 + 8),
        pending("cwe-old", decided_ms=T0 + 9, review_by_ms=NOW - 1),
        event("cwe-strikes", kind="termination", rule_id="three-strikes", decided_ms=T0 + 9, actions=(),
              evidence=Evidence(enforcement_ids=("cwe-warn",))),
    )  # fmt: skip
    asyncio.run(follow(fake, tmp_path))
    return fake
