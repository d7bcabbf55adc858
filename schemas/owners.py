"""The value of the topic of owners: the ban of the owner behind a tenant, and its lifting."""

from typing import Annotated

from msgspec import Meta, Struct

from schemas.inputs import Id, Ms
from schemas.outputs import TierName


def _doc(text: str) -> Meta:
    return Meta(description=text)


class OwnerBan(Struct, frozen=True):
    """The ban of an owner, because a tenant of this owner was banned. Its lifting is the same value with ``lifted_ms``.

    The key of the record is ``enforcement_id``. A ban or its lifting takes effect in a partition at the next multiple
    of five minutes, or at the partition's watermark when it takes the value, if that is later.
    """

    owner_id: Annotated[Id, _doc("The owner: a pseudonym of the registrant's licence or identity.")]
    tenant_id: Annotated[Id, _doc("The tenant that was banned.")]
    enforcement_id: Annotated[Id, _doc("The id of the decision that banned the tenant.")]
    clause: Annotated[
        Annotated[int, Meta(ge=1, le=7)] | None, _doc("The clause of that decision, 1 to 7; null for an escalation.")
    ]
    tier: Annotated[TierName, _doc("The tier of that decision.")]
    decided_ms: Annotated[Ms, _doc("The event time of that decision, epoch ms UTC.")]
    lifted_ms: Annotated[
        Ms | None, _doc("The event time at which the ban was lifted, epoch ms UTC; null while it is in force.")
    ] = None
