"""Settings of who may use the console: what is refused at the start, and by which message."""

import pytest

from streams.console.identity.components import provider_options, role_mapping
from streams.console.identity.users import Role
from streams.settings.load import SettingsError, load

PROVIDER = {
    "console_url": "https://console.example",
    "console_oidc_issuer": "https://id.example/realms/x",
    "console_oidc_client_id": "console",
    "console_oidc_client_secret": "s3cret",
    "console_oidc_roles": "cw=reviewer",
}


@pytest.fixture(autouse=True)
def _nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))
    monkeypatch.delenv("CALLWARDEN_SETTINGS", raising=False)


def test_a_provider() -> None:
    options = provider_options(load(PROVIDER | {"console_oidc_roles": "a=reviewer, b=admin, a=viewer"}))
    assert options is not None
    assert options.redirect_url == "https://console.example/sign-in/provider/callback"
    assert options.roles == {"a": {Role.REVIEWER, Role.VIEWER}, "b": {Role.ADMIN}}
    assert "s3cret" not in repr(options)
    assert provider_options(load()) is None


def test_a_value_may_hold_an_equals_sign() -> None:
    assert role_mapping("cn=admins=admin") == {"cn=admins": {Role.ADMIN}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"console_url": "console.example"}, "is not the address of a site; expected https://HOST"),
        ({"console_url": "https://console.example/path"}, "without a path"),
        ({"console_url": "https://user@console.example"}, "is not the address of a site"),
        ({"console_url": "https://console.example:99999"}, "is not the address of a site"),
        ({"console_url": "http://console.example"}, "would send passwords in clear"),
        ({"console_url": "http://127.0.0.1.evil.example"}, "would send passwords in clear"),
        ({"console_url": None}, "the provider sends users back to the console; expected CALLWARDEN_CONSOLE_URL, too"),
        ({"console_oidc_issuer": "http://id.example"}, "is not an issuer"),
        ({"console_oidc_issuer": "https://id.example?x=1"}, "is not an issuer"),
        ({"console_oidc_issuer": None}, "without its provider; expected CALLWARDEN_CONSOLE_OIDC_ISSUER, too"),
        ({"console_oidc_client_id": None}, "absent; CALLWARDEN_CONSOLE_OIDC_ISSUER needs it, too"),
        ({"console_oidc_client_secret": None}, "absent; CALLWARDEN_CONSOLE_OIDC_ISSUER needs it, too"),
        ({"console_oidc_roles": None}, "absent; CALLWARDEN_CONSOLE_OIDC_ISSUER needs it, too"),
        ({"console_oidc_roles": "cw=emperor"}, "gives no role; expected VALUE=ROLE"),
        ({"console_oidc_roles": "reviewer"}, "gives no role"),
        ({"console_oidc_roles": "=reviewer"}, "gives no role"),
        ({"console_programs": "desk=http://desk:1"}, "names no program; expected NAME=http://HOST:PORT"),
        ({"console_programs": "ledger=http://ledger/path"}, "names no program"),
        ({"console_programs": "ledger"}, "names no program"),
        ({"console_session_ms": "1m"}, "is not allowed; expected 5m to 30d"),
        ({"console_second_factor": "maybe"}, "expected one of optional, required"),
        ({"console_local_accounts": "perhaps"}, "expected one of yes, no"),
    ],
)
def test_what_is_refused(changed: dict[str, str | None], said: str) -> None:
    given = PROVIDER | {"console_oidc_roles": "cw=reviewer"} | changed
    with pytest.raises(SettingsError) as refused:
        load({name: value for name, value in given.items() if value is not None})
    assert said in str(refused.value)
    assert "s3cret" not in str(refused.value)
