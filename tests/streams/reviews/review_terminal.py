"""A reviewer's terminal: its commands, with topics in memory instead of a cluster."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

from review_broker import NOW
from typer.testing import CliRunner

from helpers.fake_topics import FakeTopics
from helpers.ledger_samples import ACTIONS, DECISIONS, REVIEWS, address, filled, put
from oracle.ledger import DAY, event
from schemas import codec
from schemas.inputs import Review
from schemas.outputs import Evidence, Reason
from streams.cli.app import build
from streams.consumers.ledger.progress import note_progress
from streams.kafka.api import TP
from streams.kafka.outputs import OutputRecord

CANARY = "13812345678"
"""A telephone number that nothing may show."""

LETTERS = "out.dead-letter"


class FakeCluster(FakeTopics):
    """Topics that can be written to; ``judge`` is called with each review."""

    def __init__(self) -> None:
        super().__init__(
            **{DECISIONS: 1, REVIEWS: 1, ACTIONS: 1, LETTERS: 1, "out.control": 1, "out.clock": 1, "out.state": 1}
        )
        self.now_ms = 4_000_000_000_000
        self.judge = lambda review: None
        self.letters: list[SimpleNamespace] = []

    def writer(self, transactional_id: str) -> "FakeCluster":
        assert transactional_id.startswith("out-reviews"), "as the prefix names the workers"
        return self

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def commit(self, records: list[OutputRecord], offsets: object) -> int:
        for out in records:
            self.put(out.topic, out.partition, out.value, headers=out.headers)
            self.judge(codec.read(out.value or b""))
        return 0

    async def records(self, tp: TP, start: int, stop: int) -> AsyncIterator[list[SimpleNamespace]]:
        yield self.letters[start:stop]

    async def offsets_from(self, tps: list[TP], at_ms: int) -> dict[TP, int]:
        assert NOW - DAY < at_ms <= NOW - 3_600_000, "clocks may differ"
        return dict.fromkeys(tps, 0) if self.letters else {}

    def reject(self, review: Review) -> None:
        """Reject a review, as a worker does."""
        headers = [("topic", REVIEWS.encode()), ("reason", b"nothing_to_change: too late")]
        self.letters.append(SimpleNamespace(value=codec.encode(review), headers=headers))
        self.put(LETTERS, 0, codec.encode(review))

    def uphold(self, review: Review) -> None:
        """Uphold a review, as a worker does."""
        by = Evidence(review_ids=(review.review_id,))
        reason = Reason("维持", "The ban is upheld")
        put(self, 0, event("cwe-final", kind="ban", supersedes=review.enforcement_id, evidence=by, reason=reason))

    @property
    def reviews(self) -> list[Review]:
        found = [codec.read(value or b"") for value in self.logs[TP(REVIEWS, 0)]]
        return [review for review in found if isinstance(review, Review)]


async def follow(cluster: FakeCluster, folder: Path) -> None:
    """Follow the topics, as the ledger service does."""
    database = await filled(address(folder), cluster)
    await database.run(lambda connection: note_progress(connection, NOW, service_ms=NOW))
    database.close()


def run(*command: str, given: str = "") -> tuple[int, str]:
    """The exit status and output of `callwarden reviews`."""
    done = CliRunner().invoke(build("reviews"), ["reviews", *command], input=given)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output
