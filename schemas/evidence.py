"""The value of the topic of evidence: where the records lie that a decision names."""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.inputs import Id


def _doc(text: str) -> Meta:
    return Meta(description=text)


class RecordPlace(Struct, frozen=True, gc=False):
    """The place of one input record."""

    topic: Annotated[str, _doc("The full name of the topic.")]
    partition: Annotated[Annotated[int, Meta(ge=0)], _doc("The partition of the topic.")]
    offset: Annotated[Annotated[int, Meta(ge=0)], _doc("The offset in the partition.")]


class EvidencePlaces(Struct, frozen=True, gc=False):
    """Where the input records lie that a decision names in its evidence.

    A decision that names none, as a lapse or an escalation, has no such record. An id's place is that of its record
    that was decided last when the decision was made; of a call whose id was used again, that of the newest one that
    counts. A place that is not known is left out.
    """

    enforcement_id: Annotated[Id, _doc("The id of the decision, in enforcement or shadow.")]
    places: Annotated[
        tuple[RecordPlace, ...],
        _doc(
            "The places in the order of the evidence's ids: calls, complaints, findings, applications, reviews. For a "
            "metric of callees, callers or consents, whose decisions name no ids: the window's newest 20 attempts (for "
            "consents answered calls), sorted by call_id."
        ),
    ]
