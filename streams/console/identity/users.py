"""Who uses the console, and in which roles."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """A set of permissions under one name; a user may have several. `permissions.PERMISSIONS_OF` is the table."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    POLICY_OWNER = "policy_owner"
    AUDITOR = "auditor"
    ADMIN = "admin"


LOCAL: Final = "local:"
OIDC: Final = "oidc:"


@dataclass(frozen=True, slots=True)
class User:
    """A user whose identity is verified.

    ``subject`` names the user in every record of what people did: `local:NAME`, or `oidc:ISSUER#SUB`. It is never
    reused. ``name`` is for display.
    """

    subject: str
    name: str
    roles: frozenset[Role]
