"""What the console must know of the provider."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.console.identity.users import Role


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """The provider, our registration with it, and which of its claims gives which role.

    ``roles_claim`` may be a path with dots, such as `realm_access.roles`. ``roles``: the roles of its values.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_url: str
    roles_claim: str
    roles: Mapping[str, frozenset[Role]]
    name_claim: str = "name"
    scopes: Sequence[str] = ("openid", "profile", "email")
    ca_file: Path | None = None
