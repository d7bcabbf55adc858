"""The code flow: sends a browser to the provider, and takes back only what this browser asked for."""

import asyncio
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from cryptography.fernet import Fernet, InvalidToken
from sqlalchemy import Connection, delete

from streams.console.identity import accounts, sessions
from streams.console.identity.oidc.errors import SignInRejected
from streams.console.identity.oidc.id_token import UnknownKey, claims_of, user_of, values_at
from streams.console.identity.oidc.provider import Provider
from streams.console.identity.secret_keys import Devices
from streams.console.identity.sessions import Client, Lifetime, Stage, hash_of
from streams.console.identity.sign_in import SignInFailed, Started, note_sign_in
from streams.console.identity.tables import USED_STATES
from streams.console.identity.users import User
from streams.consumers.sql_common import inserted

WITHIN_S: Final = 600
"""How long one may take at the provider."""
_LONGEST_CODE: Final = 4_096
_AT_ONCE: Final = 16
_METHOD: Final = "oidc"


class _Begun(msgspec.Struct, frozen=True):
    """What a browser carries to the provider and back, encrypted: no other browser can finish its sign-in."""

    state: str
    nonce: str
    verifier: str
    next: str


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where to send the browser, and the cookie that it is to bring back."""

    url: str
    cookie: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class VerifiedSignIn:
    """A user whom the provider has verified, and where to go then. ``state_hash``: of the sign-in, which ends once."""

    user: User
    next: str
    state_hash: str


class ProviderSignIn:
    """Signs users in with the provider."""

    def __init__(self, provider: Provider, key: Fernet, now_s: Callable[[], float]) -> None:
        self._provider, self._key, self._now_s = provider, key, now_s
        self._asking = asyncio.Semaphore(_AT_ONCE)

    async def begin(self, next_: str) -> Redirect:
        """Begin a sign-in. Raises ProviderAway."""
        options = self._provider.options
        state, nonce, verifier = (secrets.token_urlsafe(size) for size in (32, 32, 48))
        begun = _Begun(state, nonce, verifier, next_)
        async with self._asking:
            metadata = await self._provider.metadata()
        url = prepare_grant_uri(
            metadata.authorization,
            options.client_id,
            "code",
            redirect_uri=options.redirect_url,
            scope=" ".join(options.scopes),
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=create_s256_code_challenge(begun.verifier),
            code_challenge_method="S256",
        )
        cookie = self._key.encrypt_at_time(msgspec.json.encode(begun), int(self._now_s()))
        return Redirect(url, cookie.decode())

    async def finish(
        self, query: Mapping[str, str], cookie: str, attempt: Callable[[], None] = lambda: None
    ) -> VerifiedSignIn:
        """The user whom the provider vouches for. ``attempt`` is called before the provider is asked, and may raise:
        any page can send a browser here, but only an answer to what this browser has begun is an attempt.

        Raises SignInRejected, NoRole and ProviderAway.
        """
        options = self._provider.options
        try:
            opened = self._key.decrypt_at_time(cookie.encode(), WITHIN_S, int(self._now_s()))
            begun = msgspec.json.decode(opened, type=_Begun)
        except (InvalidToken, msgspec.DecodeError, UnicodeEncodeError):
            raise SignInRejected("this browser has begun no sign-in, or more than ten minutes ago") from None
        if not hmac.compare_digest(begun.state.encode(), query.get("state", "").encode("utf-8", "surrogatepass")):
            raise SignInRejected("the state is not that of the sign-in that this browser has begun")
        if query.get("iss", options.issuer) != options.issuer:
            raise SignInRejected("the answer is of another issuer")
        if "error" in query:
            raise SignInRejected(f"the provider says {query['error'][:100]!a}")
        code = query.get("code", "")
        if not 0 < len(code) <= _LONGEST_CODE:
            raise SignInRejected("the answer has no code")
        attempt()
        async with self._asking:
            user = await self._user(code, begun)
        return VerifiedSignIn(user, begun.next, hash_of(begun.state))

    async def _user(self, code: str, begun: _Begun) -> User:
        provider, options = self._provider, self._provider.options
        id_token, access_token = await provider.tokens(code, begun.verifier)
        now_s = int(self._now_s())
        try:
            claims = claims_of(id_token, await provider.keys(), options, begun.nonce, access_token, now_s)
        except UnknownKey:
            newer = await provider.keys(newer=True)
            claims = claims_of(id_token, newer, options, begun.nonce, access_token, now_s)
        if access_token is not None and not values_at(claims, options.roles_claim):
            more = await provider.user_info(access_token)
            if more and more.get("sub") != claims["sub"]:
                raise SignInRejected("the user info is of another user")
            claims = {**more, **claims}
        return user_of(claims, options)


def start_session(
    connection: Connection, verified: VerifiedSignIn, client: Client, now_ms: int, life: Lifetime, devices: Devices
) -> Started:
    """Start the user's session. Raises SignInRejected if this sign-in was finished before, SignInFailed if disabled."""
    connection.execute(delete(USED_STATES).where(USED_STATES.c.expires_ms <= now_ms))
    used = {"hash": verified.state_hash, "expires_ms": now_ms + 2 * WITHIN_S * 1000}
    if not inserted(connection, USED_STATES, used):
        raise SignInRejected("this sign-in was finished before")
    if not accounts.signed_in_by_provider(connection, verified.user, now_ms):
        raise SignInFailed
    token = sessions.start(connection, verified.user.subject, Stage.FULL, _METHOD, client, now_ms, life)
    note_sign_in(connection, verified.user, _METHOD, client, now_ms)
    return Started(token, Stage.FULL, devices.mark(verified.user.subject))
