"""Cases: a decision and its later history, built from the events of one or more tenants. Pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from schemas.inputs import Review
from schemas.outputs import Enforcement

Status = Literal["pending", "final", "reversed", "lapsed"]


@dataclass(frozen=True, slots=True)
class LedgerCase:
    """A decision as first published, the events that superseded it, and the event that closed it, if any.

    ``changes``, in order: the verdict on a pending decision, and changes of the kind of a final one. ``reviews`` are
    all that name it, in order of time, including those without effect.
    """

    opening: Enforcement
    changes: tuple[Enforcement, ...] = ()
    closing: Enforcement | None = None
    reviews: tuple[Review, ...] = ()

    @property
    def in_force(self) -> Enforcement:
        """The event that a reversal would name."""
        return self.changes[-1] if self.changes else self.opening

    @property
    def events(self) -> tuple[Enforcement, ...]:
        """Its events in order."""
        return (self.opening, *self.changes, *([self.closing] if self.closing else []))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids by which a review may name it."""
        return (self.opening.id, *(event.id for event in self.changes))

    @property
    def status(self) -> Status:
        """The current status."""
        if self.closing:
            return "lapsed" if self.closing.data.kind == "lapse" else "reversed"
        return "final" if self.in_force.data.status == "final" else "pending"

    @property
    def stands(self) -> bool:
        """Whether it was not reversed and did not lapse."""
        return self.closing is None

    def review_behind(self, event: Enforcement) -> Review | None:
        """The review that caused one of its events; None if there is none or it is unknown.

        The evidence of a changed kind has the earlier reviews, too.
        """
        behind = [review for review in self.reviews if review.review_id in event.data.evidence.review_ids]
        return behind[-1] if behind else None


def once(reviews: Iterable[Review]) -> list[Review]:
    """The distinct reviews: a review may be sent twice, or again while the state is being moved."""
    return list({msgspec.structs.astuple(review): review for review in reviews}.values())


def cases_of(events: Iterable[Enforcement], reviews: Iterable[Review] = ()) -> list[LedgerCase]:
    """The cases that these events form, by time and id. Duplicate events count once."""
    by_id = {event.id: event for event in events}
    superseding = {event.data.supersedes: event for event in by_id.values() if event.data.supersedes}
    closings = {event.data.reverses: event for event in by_id.values() if event.data.reverses}
    about: dict[tuple[str, str], list[Review]] = {}
    for review in once(reviews):
        about.setdefault((review.tenant_id, review.enforcement_id), []).append(review)
    cases = []
    for event in by_id.values():
        # A superseding event whose decision is missing represents the case.
        if event.data.reverses or event.data.supersedes in by_id:
            continue
        changes: list[Enforcement] = []
        while (later := superseding.get(changes[-1].id if changes else event.id)) and later not in changes:
            changes.append(later)
        ids = (event.id, *(change.id for change in changes))
        named = [review for each in ids for review in about.get((event.subject, each), ())]
        closing = next((closings[each] for each in ids if each in closings), None)
        cases.append(
            LedgerCase(event, tuple(changes), closing, tuple(sorted(named, key=lambda review: review.updated_ms)))
        )
    return sorted(cases, key=lambda case: (case.opening.data.decided_ms, case.opening.id))
