"""The provider's own pages: its metadata, its keys, its token and user info endpoints, each asked within limits."""

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import aiohttp
import orjson
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from streams.console.identity.oidc.errors import ProviderAway, SignInRejected
from streams.console.identity.oidc.options import ProviderOptions
from streams.runtime.monotonic import steady_s

_TIMEOUT: Final = aiohttp.ClientTimeout(total=10, connect=5)
_BYTES: Final = 256 << 10
_METADATA_S: Final = 3_600.0
_KEYS_AGAIN_S: Final = 30.0
"""Keys are not fetched more often, however many tokens name a key that is not there."""
_KEYS_S: Final = 3_600.0
_KEY_TYPES: Final = frozenset({"RSA", "EC", "OKP"})
_MOST_KEYS: Final = 100
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says about itself, as far as we use it."""

    authorization: str
    token: str
    keys: str
    user_info: str | None
    client_auth: str


class Provider:
    """Asks the provider. Metadata and keys are kept for an hour; a token with a newer key lets fetch them again."""

    def __init__(self, options: ProviderOptions) -> None:
        """Raises OSError or ssl.SSLError if the file of certificate authorities cannot be read."""
        self.options = options
        authorities = options.ca_file
        self._tls = ssl.create_default_context(cafile=authorities) if authorities is not None else True
        self._session: aiohttp.ClientSession | None = None
        self._metadata: Metadata | None = None
        self._metadata_s = self._keys_s = 0.0
        self._keys: KeySet | None = None
        self._asking = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """The endpoints. Raises ProviderAway."""
        async with self._asking:
            if self._metadata is None or steady_s() - self._metadata_s > _METADATA_S:
                url = self.options.issuer.rstrip("/") + "/.well-known/openid-configuration"
                self._metadata, self._metadata_s = self._read(await self._json("GET", url)), steady_s()
            return self._metadata

    async def keys(self, *, newer: bool = False) -> KeySet:
        """The keys that sign the provider's tokens; with ``newer`` fetched again, unless that was just done.

        Only public keys: a symmetric one among them would let anybody who can read them sign. Raises ProviderAway.
        """
        metadata = await self.metadata()
        async with self._asking:
            age_s = steady_s() - self._keys_s
            if self._keys is None or age_s > _KEYS_S or (newer and age_s > _KEYS_AGAIN_S):
                found = (await self._json("GET", metadata.keys)).get("keys")
                given = found if isinstance(found, list) else []
                public = [key for key in given[:_MOST_KEYS] if isinstance(key, dict) and key.get("kty") in _KEY_TYPES]
                try:
                    self._keys = KeySet.import_key_set({"keys": public})
                except (JoseError, ValueError, TypeError) as error:
                    raise ProviderAway(f"{metadata.keys}: no keys that can be used: {error}") from None
                self._keys_s = steady_s()
            return self._keys

    async def tokens(self, code: str, verifier: str) -> tuple[str, str | None]:
        """The ID token and the access token for a code. Raises SignInRejected if the provider refuses the code."""
        metadata, options = await self.metadata(), self.options
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": options.redirect_url,
            "code_verifier": verifier,
        }
        headers = {}
        if metadata.client_auth == "client_secret_basic":
            # RFC 6749, 2.3.1: form-encoded, then joined.
            login = aiohttp.BasicAuth(quote_plus(options.client_id), quote_plus(options.client_secret), "utf-8")
            headers["Authorization"] = login.encode()
        else:
            form |= {"client_id": options.client_id, "client_secret": options.client_secret}
        answer = await self._json("POST", metadata.token, form, headers)
        id_token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(id_token, str):
            raise SignInRejected("the provider's answer has no ID token")
        return id_token, access_token if isinstance(access_token, str) else None

    async def user_info(self, access_token: str) -> Mapping[str, Any]:
        """The user's claims by the user info endpoint; empty if there is none. Raises ProviderAway."""
        url = (await self.metadata()).user_info
        return await self._json("GET", url, None, {"Authorization": f"Bearer {access_token}"}) if url else {}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    async def _json(
        self, method: str, url: str, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=_TIMEOUT, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        # No redirects: they could lead to a host that was never named. No compression: its limit would be another.
        asked = {"Accept": "application/json", "Accept-Encoding": "identity", **(headers or {})}
        try:
            async with self._session.request(
                method, url, data=form, headers=asked, allow_redirects=False, ssl=self._tls
            ) as response:
                body = await _within(response, url)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ProviderAway(f"{url}: {type(error).__name__}: {error}"[:_SHOWN]) from None
        try:
            answer = orjson.loads(body)
        except orjson.JSONDecodeError:
            answer = None
        if form is not None and status in (400, 401):
            code = answer.get("error") if isinstance(answer, dict) else None
            raise SignInRejected(f"the provider refuses the code: {str(code)[:_SHOWN]!a} (status {status})")
        if status != 200 or not isinstance(answer, dict):
            raise ProviderAway(f"{url}: status {status}; expected 200 with a JSON object")
        return answer

    def _read(self, answer: Mapping[str, Any]) -> Metadata:
        issuer = self.options.issuer
        if answer.get("issuer") != issuer:
            raise ProviderAway(f"the provider calls itself {str(answer.get('issuer'))[:_SHOWN]!a}; expected {issuer!a}")
        user_info = self._endpoint(answer, "userinfo_endpoint") if answer.get("userinfo_endpoint") else None
        ways = answer.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        basic = "client_secret_basic" in ways or "client_secret_post" not in ways
        return Metadata(
            authorization=self._endpoint(answer, "authorization_endpoint"),
            token=self._endpoint(answer, "token_endpoint"),
            keys=self._endpoint(answer, "jwks_uri"),
            user_info=user_info,
            client_auth="client_secret_basic" if basic else "client_secret_post",
        )

    def _endpoint(self, answer: Mapping[str, Any], name: str) -> str:
        url = answer.get(name)
        parts = urlsplit(url) if isinstance(url, str) else None
        test = urlsplit(self.options.issuer).scheme == "http"  # settings allow it on a loopback address only
        if (
            parts is None
            or not parts.hostname
            or not (parts.scheme == "https" or (test and parts.scheme == "http" and is_loopback(parts.hostname)))
        ):
            raise ProviderAway(f"the provider's {name} is {str(url)[:_SHOWN]!a}; expected an https address")
        assert isinstance(url, str)
        return url


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, by a name that nobody else can give."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _within(response: aiohttp.ClientResponse, url: str) -> bytes:
    body = b""
    async for part in response.content.iter_chunked(1 << 14):
        body += part
        if len(body) > _BYTES:
            raise ProviderAway(f"{url}: the answer has more than {_BYTES} bytes")
    return body
