"""Cases: a decision with what became of it, as the events of one or more tenants tell it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas.inputs import Review
from schemas.outputs import Enforcement

Status = Literal["pending", "final", "reversed", "lapsed"]


@dataclass(frozen=True, slots=True)
class LedgerCase:
    """A decision as it was first made, as a review upheld it, and what took it back, as far as there are such.

    ``reviews`` are all that name it, as they came, also those that changed nothing.
    """

    opening: Enforcement
    upheld: Enforcement | None = None
    closing: Enforcement | None = None
    reviews: tuple[Review, ...] = ()

    @property
    def in_force(self) -> Enforcement:
        """The event that a reversal of it would name."""
        return self.upheld or self.opening

    @property
    def events(self) -> tuple[Enforcement, ...]:
        """Its events in their order."""
        return tuple(event for event in (self.opening, self.upheld, self.closing) if event)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids by which a review may name it."""
        return (self.opening.id, self.upheld.id) if self.upheld else (self.opening.id,)

    @property
    def status(self) -> Status:
        """What is so now."""
        if self.closing:
            return "lapsed" if self.closing.data.kind == "lapse" else "reversed"
        return "final" if self.in_force.data.status == "final" else "pending"

    @property
    def stands(self) -> bool:
        """Whether it was not taken back."""
        return self.closing is None

    def review_behind(self, event: Enforcement) -> Review | None:
        """The review of which one of its events came, None where none did or where it is not known."""
        behind = event.data.evidence.review_ids
        return next((review for review in self.reviews if review.review_id in behind), None)


def once(reviews: Iterable[Review]) -> list[Review]:
    """Each of them once: one that is sent again changes nothing, nor one that waits while the state is moved."""
    return list({msgspec.structs.astuple(review): review for review in reviews}.values())


def cases_of(events: Iterable[Enforcement], reviews: Iterable[Review] = ()) -> list[LedgerCase]:
    """The cases that these events tell of, by time and id. An event that comes twice is one."""
    by_id = {event.id: event for event in events}
    upheld = {event.data.supersedes: event for event in by_id.values() if event.data.supersedes}
    closings = {event.data.reverses: event for event in by_id.values() if event.data.reverses}
    about: dict[tuple[str, str], list[Review]] = {}
    for review in once(reviews):
        about.setdefault((review.tenant_id, review.enforcement_id), []).append(review)
    cases = []
    for event in by_id.values():
        # What upholds a decision that is not here is all that is known of it.
        if event.data.reverses or event.data.supersedes in by_id:
            continue
        later = upheld.get(event.id)
        ids = (event.id, later.id) if later else (event.id,)
        named = [review for each in ids for review in about.get((event.subject, each), ())]
        closing = next((closings[each] for each in ids if each in closings), None)
        cases.append(LedgerCase(event, later, closing, tuple(sorted(named, key=lambda review: review.updated_ms))))
    return sorted(cases, key=lambda case: (case.opening.data.decided_ms, case.opening.id))
