"""The input topics by bare name, in the order of a partition's sources, and the records that each carries."""

from typing import Final

from schemas.inputs import Application, Cdr, Complaint, Finding, Record, Review, Tenant

INPUTS: Final = ("cdr", "complaints", "findings", "tenants", "reviews")
"""Section 1 of the contract: a source of partition n is partition n of one of these."""

CARRIES: Final[dict[str, tuple[type[Record], ...]]] = {
    "cdr": (Cdr,),
    "complaints": (Complaint,),
    "findings": (Finding,),
    "tenants": (Tenant, Application),
    "reviews": (Review,),
}
"""The record types allowed in each topic. For example, a producer of complaints may not write reviews."""
