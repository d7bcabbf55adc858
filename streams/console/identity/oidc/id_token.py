"""Checks an ID token: signed by the provider, for this client, for this sign-in, and not expired."""

from collections.abc import Mapping
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from streams.console.identity.oidc.errors import NoRole, SignInRejected
from streams.console.identity.oidc.options import ProviderOptions
from streams.console.identity.users import OIDC, Role, User

_LEEWAY_S: Final = 60
# Asymmetric ones alone, whatever the token and the provider's metadata say: with HS256 the public key, or the client's
# secret, would sign; with `none` nothing would.
_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
_HEADER_BYTES: Final = 8_192
_LONGEST_SUBJECT: Final = 255
_LONGEST_NAME: Final = 128
_MOST_VALUES: Final = 1_000


class UnknownKey(SignInRejected):
    """The token names a key that the provider did not have when its keys were fetched."""


class _Registry(JWSRegistry):
    max_header_length = _HEADER_BYTES  # certificates of the key may be in it


def claims_of(
    token: str, keys: KeySet, options: ProviderOptions, nonce: str, access_token: str | None, now_s: int
) -> Mapping[str, Any]:
    """The claims of a valid token. Raises SignInRejected, UnknownKey if newer keys may help."""
    try:
        decoded = jwt.decode(token, keys, registry=_Registry(algorithms=_ALGORITHMS, strict_check_header=False))
    except InvalidKeyIdError as error:
        raise UnknownKey(str(error)) from None
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise SignInRejected(f"the ID token: {type(error).__name__}: {error}") from None
    expected: dict[str, Any] = {
        "iss": {"essential": True, "value": options.issuer},
        "aud": {"essential": True, "value": options.client_id},
        "sub": {"essential": True},
        "exp": {"essential": True},
    }
    params = {"nonce": nonce, "client_id": options.client_id, "access_token": access_token}
    try:
        claims = CodeIDToken(decoded.claims, decoded.header, expected, params)
        claims.validate(now_s, _LEEWAY_S)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SignInRejected(f"the ID token: {type(error).__name__}: {error}") from None
    return dict(claims)


def user_of(claims: Mapping[str, Any], options: ProviderOptions) -> User:
    """The user with the roles that the claim gives. Raises NoRole, and SignInRejected if the subject is not usable."""
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= _LONGEST_SUBJECT or not sub.isprintable():
        raise SignInRejected("the ID token: its sub is empty, too long, or has control characters")
    given = values_at(claims, options.roles_claim)
    roles: frozenset[Role] = frozenset().union(*(options.roles[each] for each in given if each in options.roles))
    subject = f"{OIDC}{options.issuer}#{sub}"
    if not roles:
        raise NoRole(subject, f"{subject}: {options.roles_claim} gives no role of the console")
    name = claims.get(options.name_claim)
    shown = name if isinstance(name, str) and name.strip() and name.isprintable() else sub
    return User(subject, shown[:_LONGEST_NAME], roles)


def values_at(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts of a claim: one, or a list. A claim whose name has dots itself is found first."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
    if isinstance(value, str):
        return [value]
    return [each for each in value[:_MOST_VALUES] if isinstance(each, str)] if isinstance(value, list) else []
