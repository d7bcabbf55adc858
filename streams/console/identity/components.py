"""Identity of one console process: everything that pages and the middleware share."""

import asyncio
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cryptography.fernet import Fernet
from sqlalchemy import Connection

from streams.console.identity.failures import FailedSignIns
from streams.console.identity.links.sign_in_links import SignInLinks
from streams.console.identity.oidc.options import ProviderOptions
from streams.console.identity.oidc.provider import Provider
from streams.console.identity.oidc.sign_in import ProviderSignIn
from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.secret_keys import Devices, secret_key
from streams.console.identity.sessions import Lifetime
from streams.console.identity.sign_in import LocalSignIn, SignInParts, SignInRules
from streams.console.identity.site import Site
from streams.console.identity.throttle import SignInThrottle
from streams.console.identity.users import Role
from streams.consumers.database import Database
from streams.kafka.api import PermanentError, TransientError
from streams.runtime.monotonic import steady_s
from streams.settings.load import Settings, variable

CALLBACK = "/sign-in/provider/callback"
_FLUSH_S = 15.0


@dataclass(frozen=True, slots=True)
class WaysIn:
    """The ways to sign in, once the database has their keys. None: not offered."""

    local: LocalSignIn | None
    provider: ProviderSignIn | None
    devices: Devices


class Identity:
    """The components of identity in one console process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], int],
        passwords: PasswordChecks | None = None,
        links: SignInLinks | None = None,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """``links`` sign users in, too; ``failed`` is called for each sign-in that fails.

        Raises PermanentError if nobody could sign in with these settings."""
        if settings.console_local_accounts == "no" and settings.console_oidc_issuer is None:
            raise PermanentError(
                f"{variable('console_local_accounts')}=no, and no provider: nobody could sign in; expected "
                f"{variable('console_oidc_issuer')}, or yes"
            )
        if links is not None and settings.console_url is not None:
            raise PermanentError(f"{variable('console_url')} is set; links that sign in need a console of this machine")
        self.database, self.clock, self.links = database, clock, links
        self.site = Site(settings.console_url)
        self.life = Lifetime(settings.console_idle_ms, settings.console_session_ms)
        self.four_eyes = settings.console_four_eyes == "yes"
        self.passwords = passwords or PasswordChecks()
        self.throttle = SignInThrottle(steady_s)
        self.failures = FailedSignIns(database, clock, failed)
        self.second_factor_required = settings.console_second_factor == "required"
        self._rules = SignInRules(self.life, self.second_factor_required)
        self._has_local = settings.console_local_accounts == "yes"
        options = provider_options(settings)
        try:
            self._provider = Provider(options) if options is not None else None
        except OSError as error:
            raise PermanentError(f"{variable('console_oidc_ca_file')}: {error}; expected a file in PEM") from None
        self._ways: WaysIn | None = None

    @property
    def ways(self) -> WaysIn:
        """The ways to sign in. Raises TransientError until the database was reached."""
        if self._ways is None:
            raise TransientError("the database cannot be reached yet")
        return self._ways

    async def prepare(self) -> None:
        """Load the keys of this console, once its tables exist. Raises TransientError."""
        devices, provider = await self.database.run(_keys)
        if (links := self.links) is not None:
            await self.database.run(lambda connection: links.prepare(connection, self.clock()))
        parts = SignInParts(self.database, self.passwords, self.throttle, self.failures, Devices(devices), self.clock)
        self._ways = WaysIn(
            LocalSignIn(parts, self._rules) if self._has_local else None,
            ProviderSignIn(self._provider, Fernet(urlsafe_b64encode(provider)), time.time) if self._provider else None,
            Devices(devices),
        )

    async def run(self) -> None:
        """Record failed sign-ins as they are due, until cancelled; then the rest."""
        try:
            while True:
                await asyncio.sleep(_FLUSH_S)
                await self._flush()
        finally:
            await self._flush(all_of_them=True)
            if self._provider is not None:
                await self._provider.close()
            self.passwords.close()

    async def _flush(self, *, all_of_them: bool = False) -> None:
        with suppress(TransientError):  # they are counted on, and recorded with the next
            await self.failures.flush(all_of_them=all_of_them)


def provider_options(settings: Settings) -> ProviderOptions | None:
    """The provider of these settings, if there is one."""
    issuer, secret = settings.console_oidc_issuer, settings.console_oidc_client_secret
    if issuer is None or secret is None or settings.console_oidc_client_id is None:
        return None
    return ProviderOptions(
        issuer=issuer,
        client_id=settings.console_oidc_client_id,
        client_secret=secret.get_secret_value(),
        redirect_url=f"{settings.console_url}{CALLBACK}",
        roles_claim=settings.console_oidc_roles_claim,
        roles=role_mapping(settings.console_oidc_roles or ""),
        name_claim=settings.console_oidc_name_claim,
        ca_file=settings.console_oidc_ca_file,
    )


def role_mapping(text: str) -> dict[str, frozenset[Role]]:
    """The roles of each value, of a text that the settings have accepted."""
    found: dict[str, frozenset[Role]] = {}
    for each in filter(None, (part.strip() for part in text.split(","))):
        value, _, role = each.rpartition("=")
        found[value.strip()] = found.get(value.strip(), frozenset()) | {Role(role.strip())}
    return found


def _keys(connection: Connection) -> tuple[bytes, bytes]:
    return secret_key(connection, "devices"), secret_key(connection, "provider")
