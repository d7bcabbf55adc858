"""Signing in with a real provider, and what must not get in: each by what it does, not by what it says."""

import asyncio
import json
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from aiohttp import web
from cryptography.fernet import Fernet
from joserfc.jwk import RSAKey

from helpers.console_identity import NOON_MS, Clock, names
from streams.console.identity import accounts, sessions
from streams.console.identity.oidc.errors import NoRole, ProviderAway, SignInRejected
from streams.console.identity.oidc.id_token import claims_of
from streams.console.identity.oidc.options import ProviderOptions
from streams.console.identity.oidc.provider import Provider
from streams.console.identity.oidc.sign_in import ProviderSignIn, Redirect, start_session
from streams.console.identity.secret_keys import Devices
from streams.console.identity.sessions import Client, Lifetime
from streams.console.identity.sign_in import SignInFailed
from streams.console.identity.users import Role, User
from streams.consumers.database import Database

# The mock stands on parts of Authlib that warn of their own end.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

REDIRECT = "https://console.example/sign-in/provider/callback"
HERE = Client("192.0.2.1", "")
LIFE = Lifetime(1_800_000, 43_200_000)
ADMIN = User("local:ada", "ada", frozenset({Role.ADMIN}))


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """A provider on a free port: three users with different groups."""
    with _mock() as url:
        yield url


def _mock(**given: Any) -> Any:
    from contextlib import contextmanager

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import oidc_provider_mock as mock

    @contextmanager
    def run() -> Iterator[str]:
        users = [
            mock.User(sub="wu", claims={"name": "Wu Min", "groups": ["cw-reviewers", "other"]}),
            mock.User(sub="max", claims={"groups": ["cw-admins", "cw-reviewers"], "name": ""}),
            mock.User(sub="guest", claims={"name": "Guest", "groups": ["other"]}),
            mock.User(sub="bare", claims={}),
        ]
        with mock.run_server_in_thread(user_claims=users, **given) as server:
            yield f"http://localhost:{server.server_port}"

    return run()


def _options(issuer: str, client_id: str = "console") -> ProviderOptions:
    roles = {"cw-reviewers": frozenset({Role.REVIEWER}), "cw-admins": frozenset({Role.ADMIN})}
    return ProviderOptions(issuer, client_id, "s3cret&=%", REDIRECT, "groups", roles)


Made = Callable[[ProviderOptions], ProviderSignIn]


@pytest.fixture
async def made() -> AsyncIterator[Made]:
    """Makes sign-ins with a provider, whose connections are closed at the end. Their clock is the real one."""
    import time

    providers = []

    def make(options: ProviderOptions) -> ProviderSignIn:
        providers.append(Provider(options))
        return ProviderSignIn(providers[-1], Fernet(Fernet.generate_key()), time.time)

    yield make
    for each in providers:
        await each.close()


async def _at_provider(redirect: Redirect, sub: str) -> dict[str, str]:
    """What a browser does there: choose a user. Returns the parameters with which it is sent back."""
    async with (
        aiohttp.ClientSession() as browser,
        browser.post(redirect.url, data={"sub": sub}, allow_redirects=False) as response,
    ):
        assert response.status == 302, await response.text()
        back = response.headers["location"]
    assert back.startswith(f"{REDIRECT}?")
    return dict(parse_qsl(urlsplit(back).query))


async def test_a_user_with_a_role_signs_in(issuer: str, made: Made, database: Database) -> None:
    sign_in = made(_options(issuer))
    redirect = await sign_in.begin("/cases/cwe-1")
    asked = dict(parse_qsl(urlsplit(redirect.url).query))
    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert asked["state"] not in redirect.cookie
    verified = await sign_in.finish(await _at_provider(redirect, "wu"), redirect.cookie)
    assert verified.user == User(f"oidc:{issuer}#wu", "Wu Min", frozenset({Role.REVIEWER}))
    assert verified.next == "/cases/cwe-1"
    start = partial(start_session, verified=verified, client=HERE, now_ms=NOON_MS, life=LIFE, devices=Devices(b"k"))
    started = await database.run(start)
    session = await database.run(partial(sessions.find, token=started.token, now_ms=NOON_MS, life=LIFE))
    assert session is not None
    assert (session.user, session.method) == (verified.user, "oidc")
    with pytest.raises(SignInRejected, match="finished before"):
        await database.run(start)
    assert names(database) == ["user_added", "signed_in"]
    await database.run(partial(accounts.disable, by=ADMIN, subject=verified.user.subject, now_ms=NOON_MS))
    again = partial(start, verified=replace(verified, state_hash="other"))
    with pytest.raises(SignInFailed):
        await database.run(again)


async def test_several_groups_give_several_roles_and_an_empty_name_the_subject(issuer: str, made: Made) -> None:
    sign_in = made(_options(issuer))
    redirect = await sign_in.begin("/queue")
    verified = await sign_in.finish(await _at_provider(redirect, "max"), redirect.cookie)
    assert (verified.user.name, verified.user.roles) == ("max", {Role.ADMIN, Role.REVIEWER})


@pytest.mark.parametrize("sub", ["guest", "bare", "a stranger"])
async def test_a_user_without_a_role_is_told_so(issuer: str, made: Made, sub: str) -> None:
    sign_in = made(_options(issuer))
    redirect = await sign_in.begin("/queue")
    with pytest.raises(NoRole):
        await sign_in.finish(await _at_provider(redirect, sub), redirect.cookie)


async def test_what_another_browser_has_begun_is_not_finished_here(issuer: str, made: Made) -> None:
    """An attacker signs in as himself and sends the victim the address with his code and state."""
    sign_in = made(_options(issuer))
    his, hers = await sign_in.begin("/queue"), await sign_in.begin("/queue")
    query = await _at_provider(his, "max")
    for cookie in (hers.cookie, "", "gAAAAA", "\udcff", hers.cookie[:-4]):
        with pytest.raises(SignInRejected):
            await sign_in.finish(query, cookie)
    with pytest.raises(SignInRejected, match="state"):
        await sign_in.finish({"code": query["code"]}, his.cookie)


async def test_a_code_is_good_once(issuer: str, made: Made) -> None:
    sign_in = made(_options(issuer))
    redirect = await sign_in.begin("/queue")
    query = await _at_provider(redirect, "wu")
    await sign_in.finish(query, redirect.cookie)
    with pytest.raises(SignInRejected, match="invalid_grant"):
        await sign_in.finish(query, redirect.cookie)


async def test_a_code_of_an_earlier_sign_in_fails_by_its_nonce(issuer: str, made: Made) -> None:
    """A code that leaked from one sign-in is put into the answer to another one."""
    sign_in = made(_options(issuer))
    first, second = await sign_in.begin("/queue"), await sign_in.begin("/queue")
    leaked, query = await _at_provider(first, "max"), await _at_provider(second, "wu")
    with pytest.raises(SignInRejected, match="nonce"):
        await sign_in.finish(query | {"code": leaked["code"]}, second.cookie)


async def test_a_code_and_a_token_of_another_client_are_refused(issuer: str, made: Made) -> None:
    ours, theirs = made(_options(issuer)), made(_options(issuer, "another"))
    begun, other = await ours.begin("/queue"), await theirs.begin("/queue")
    query, code = await _at_provider(begun, "wu"), (await _at_provider(other, "max"))["code"]
    with pytest.raises(SignInRejected, match="invalid_grant"):
        await ours.finish(query | {"code": code}, begun.cookie)
    # Its ID token, which an attacker's own client has got in earnest.
    other = await theirs.begin("/queue")
    nonce = dict(parse_qsl(urlsplit(other.url).query))["nonce"]
    code = (await _at_provider(other, "max"))["code"]
    token, access_token = await theirs._provider.tokens(code, "v" * 43)
    now_s = int(theirs._now_s())
    check = partial(claims_of, token, await ours._provider.keys(), nonce=nonce, access_token=access_token, now_s=now_s)
    assert check(options=_options(issuer, "another"))["sub"] == "max"
    with pytest.raises(SignInRejected, match="aud"):
        check(options=_options(issuer))
    with pytest.raises(SignInRejected, match="iss"):
        check(options=replace(_options(issuer, "another"), issuer="https://other.example"))
    with pytest.raises(SignInRejected, match="at_hash"):
        check(options=_options(issuer, "another"), access_token="stolen")
    with pytest.raises(SignInRejected, match="nonce"):
        check(options=_options(issuer, "another"), nonce="other")


async def test_an_expired_token_is_refused(made: Made) -> None:
    with _mock(access_token_max_age=timedelta(seconds=-300)) as issuer:
        sign_in = made(_options(issuer))
        redirect = await sign_in.begin("/queue")
        query = await _at_provider(redirect, "wu")
        with pytest.raises(SignInRejected, match="expired"):
            await sign_in.finish(query, redirect.cookie)


async def test_the_answer_may_take_ten_minutes(issuer: str, clock: Clock) -> None:
    provider = Provider(_options(issuer))
    sign_in = ProviderSignIn(provider, Fernet(Fernet.generate_key()), clock.monotonic_s)
    redirect = await sign_in.begin("/queue")
    query = await _at_provider(redirect, "wu")
    clock.pass_s(601)
    with pytest.raises(SignInRejected, match="ten minutes"):
        await sign_in.finish(query, redirect.cookie)
    await provider.close()


async def test_what_the_provider_says_instead_of_a_code(issuer: str, made: Made) -> None:
    sign_in = made(_options(issuer))
    redirect = await sign_in.begin("/queue")
    state = dict(parse_qsl(urlsplit(redirect.url).query))["state"]
    for query, said in (
        ({"error": "access_denied\r\nSet-Cookie: x"}, "access_denied"),
        ({}, "no code"),
        ({"code": "x" * 5000}, "no code"),
        ({"code": "x", "iss": "https://other.example"}, "another issuer"),
    ):
        with pytest.raises(SignInRejected, match=said) as refused:
            await sign_in.finish({"state": state} | query, redirect.cookie)
        assert "\n" not in str(refused.value)


async def test_a_provider_of_another_name_is_refused(issuer: str, made: Made) -> None:
    """The metadata at the address of one issuer that names another one."""
    with pytest.raises(ProviderAway, match="calls itself"):
        await made(_options(issuer + "/")).begin("/queue")


class _Odd:
    """A provider that answers as a test says."""

    def __init__(self, url: str) -> None:
        self.url, self.asked = url, 0
        self.metadata: dict[str, Any] = {
            "issuer": url,
            "authorization_endpoint": f"{url}/authorize",
            "token_endpoint": f"{url}/token",
            "jwks_uri": f"{url}/keys",
        }
        self.answer = lambda: web.json_response(self.metadata)

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return self.answer()


@pytest.fixture
async def odd() -> AsyncIterator[_Odd]:
    listening = socket.create_server(("127.0.0.1", 0))
    answers = _Odd(f"http://127.0.0.1:{listening.getsockname()[1]}")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    yield answers
    await runner.cleanup()


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(text="not JSON"),
        lambda: web.Response(text="[]"),
        lambda: web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
        lambda: web.Response(body=b'{"issuer": "' + b"x" * (1 << 20) + b'"}'),
        lambda: web.Response(body=b"\x1f\x8b" + bytes(100), headers={"Content-Encoding": "gzip"}),
    ],
)
async def test_odd_answers_of_a_provider(odd: _Odd, made: Made, answer: Callable[[], web.Response]) -> None:
    odd.answer = answer
    with pytest.raises(ProviderAway):
        await made(_options(odd.url)).begin("/queue")


@pytest.mark.parametrize(
    "changed",
    [
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": "http://192.0.2.1/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"token_endpoint": ["https://x"]},
        {"userinfo_endpoint": "http://192.0.2.1/"},
    ],
)
async def test_endpoints_that_are_no_https_addresses(odd: _Odd, made: Made, changed: dict[str, Any]) -> None:
    odd.metadata |= changed
    with pytest.raises(ProviderAway, match="https"):
        await made(_options(odd.url)).begin("/queue")


async def test_metadata_is_asked_for_once_however_many_begin(odd: _Odd, made: Made) -> None:
    sign_in = made(_options(odd.url))
    await asyncio.gather(*(sign_in.begin("/queue") for _ in range(50)))
    assert odd.asked == 1


async def test_keys_are_fetched_again_for_a_new_one_but_not_for_each(odd: _Odd, made: Made) -> None:
    provider = made(_options(odd.url))._provider
    await provider.metadata()
    public = RSAKey.generate_key(2048, {"kid": "2"}).as_dict(private=False)
    odd.asked, keys = 0, json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "1"}, public, "x", {}]})
    odd.answer = lambda: web.Response(text=keys)
    assert [key.kid for key in await provider.keys()] == ["2"], "symmetric keys are left out"
    for _ in range(20):
        await provider.keys(newer=True)
    assert odd.asked == 1
    provider._keys_s -= 31
    await provider.keys(newer=True)
    assert odd.asked == 2
