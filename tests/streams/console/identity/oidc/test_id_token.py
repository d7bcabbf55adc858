"""What an ID token must be: signed by a key of the provider, asymmetrically, for this client and this sign-in."""

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from joserfc.jws import JWSRegistry

from streams.console.identity.oidc.errors import NoRole, SignInRejected
from streams.console.identity.oidc.id_token import UnknownKey, claims_of, user_of, values_at
from streams.console.identity.oidc.options import ProviderOptions
from streams.console.identity.users import Role

NOW_S = 1_795_579_200
RSA = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
EC = ECKey.generate_key("P-256", {"kid": "ec"})
OTHER = RSAKey.generate_key(2048, {"kid": "rsa"})
KEYS = KeySet([RSA, EC])
OPTIONS = ProviderOptions(
    issuer="https://id.example",
    client_id="console",
    client_secret="s3cret",
    redirect_url="https://console.example/sign-in/provider/callback",
    roles_claim="groups",
    roles={"cw": frozenset({Role.REVIEWER})},
)
CLAIMS: dict[str, Any] = {
    "iss": "https://id.example",
    "aud": "console",
    "sub": "4711",
    "exp": NOW_S + 300,
    "iat": NOW_S,
    "nonce": "n",
    "groups": ["cw"],
}


def _token(key: Any = RSA, alg: str = "RS256", header: dict[str, Any] | None = None, **changed: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}
    registry = JWSRegistry(algorithms=[alg], strict_check_header=False)
    return jwt.encode({"alg": alg, "kid": key.kid, **(header or {})}, claims, key, registry=registry)


def _claims(token: str, keys: KeySet = KEYS) -> Any:
    return claims_of(token, keys, OPTIONS, "n", None, NOW_S)


@pytest.mark.parametrize(("key", "alg"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256")])
def test_a_token_of_the_provider(key: Any, alg: str) -> None:
    assert _claims(_token(key, alg))["sub"] == "4711"


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "https://id.example/"},
        {"iss": ["https://id.example"]},
        {"iss": None},
        {"aud": "another"},
        {"aud": ["another", "yet another"]},
        {"aud": None},
        {"aud": ["console", "another"]},  # without azp
        {"aud": ["console", "another"], "azp": "another"},
        {"azp": "another"},
        {"exp": NOW_S - 61},
        {"exp": None},
        {"exp": "tomorrow"},
        {"iat": None},
        {"iat": NOW_S + 3600},
        {"nbf": NOW_S + 3600},
        {"nonce": "other"},
        {"nonce": None},
        {"sub": None},
        {"sub": 4711},
        {"sub": {"a": 1}},
    ],
)
def test_claims_that_are_not_ours(changed: dict[str, Any]) -> None:
    with pytest.raises(SignInRejected):
        user_of(_claims(_token(**changed)), OPTIONS)


def test_several_audiences_with_us_as_the_authorised_party() -> None:
    assert _claims(_token(aud=["console", "another"], azp="console"))["sub"] == "4711"


def test_a_token_that_another_key_of_the_same_id_has_signed() -> None:
    with pytest.raises(SignInRejected, match="signature"):
        _claims(_token(OTHER))


def _by_hmac(secret: bytes, alg: str, digest: str) -> str:
    header, claims = ({"alg": alg, "kid": "rsa"}, CLAIMS)
    signed = b".".join(urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims))
    mac = urlsafe_b64encode(hmac.digest(secret, signed, digest)).rstrip(b"=")
    return f"{signed.decode()}.{mac.decode()}"


def test_algorithms_that_anybody_can_sign_with() -> None:
    """The provider's public key, or the client's secret, as the key of an HMAC."""
    secrets = [RSA.as_pem(private=False), RSA.as_pem(private=False).strip(), OPTIONS.client_secret.encode(), b""]
    for secret in secrets:
        for alg, digest in (("HS256", "sha256"), ("HS512", "sha512"), ("RS256", "sha256")):
            with pytest.raises(SignInRejected):
                _claims(_by_hmac(secret, alg, digest))


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_token_without_a_signature() -> None:
    unsigned = _token(OctKey.import_key("x" * 32, {"kid": "rsa"}), "none")
    signed = _token().split(".")
    for token in (unsigned, f"{signed[0]}.{signed[1]}.", unsigned.split(".")[0] + f".{signed[1]}.{signed[2]}"):
        with pytest.raises(SignInRejected):
            _claims(token)


def test_a_key_that_is_not_there_yet() -> None:
    with pytest.raises(UnknownKey):
        _claims(_token(header={"kid": "next"}))


def test_a_key_inside_the_token_is_not_used() -> None:
    """The header brings a key of its own, by value and by address."""
    header = {"jwk": OTHER.as_dict(private=False), "jku": "https://evil.example/keys"}
    with pytest.raises(SignInRejected):
        _claims(_token(OTHER, header=header))


@pytest.mark.parametrize(
    "token", ["", ".", "..", "a.b.c", "a" * 300_000, "e30.e30.e30", _token()[:-8] + "AAAAAAAA", _token() + "=", "é.é.é"]
)
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(SignInRejected):
        _claims(token)


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"groups": "cw"}, ["cw"]),
        ({"groups": ["cw", 1, None, "x"]}, ["cw", "x"]),
        ({"groups": {"cw": True}}, []),
        ({"groups": None}, []),
        ({}, []),
    ],
)
def test_the_texts_of_a_claim(claims: dict[str, Any], expected: list[str]) -> None:
    assert values_at(claims, "groups") == expected


def test_a_claim_inside_another_and_one_with_dots() -> None:
    assert values_at({"realm_access": {"roles": ["a"]}}, "realm_access.roles") == ["a"]
    assert values_at({"https://x.example/roles": ["a"]}, "https://x.example/roles") == ["a"]
    assert values_at({"realm_access": "roles"}, "realm_access.roles") == []


def test_a_role_is_given_by_a_whole_value() -> None:
    for groups in (["CW"], ["cw "], ["cw,admin"], "cw cw", ["c", "w"], []):
        with pytest.raises(NoRole):
            user_of(CLAIMS | {"groups": groups}, OPTIONS)


@pytest.mark.parametrize("sub", ["", "x" * 256, "a\nb", "a\0b"])
def test_subjects_that_cannot_be_stored(sub: str) -> None:
    with pytest.raises(SignInRejected):
        user_of(CLAIMS | {"sub": sub}, OPTIONS)


@pytest.mark.parametrize("name", [None, "", "  ", 5, "a\u202eb"])
def test_a_name_that_cannot_be_shown_is_the_subject(name: object) -> None:
    assert user_of(CLAIMS | {"name": name}, OPTIONS).name == "4711"
