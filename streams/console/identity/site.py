"""The console's address: which host names it answers, from which pages it takes forms, and how its cookies are set."""

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

_LOOPBACK: Final = re.compile(r"(127(?:\.[0-9]{1,3}){3}|localhost|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_PORTS: Final = {"http": 80, "https": 443}
_LONGEST_NEXT: Final = 2_000
START: Final = "/queue"


class Site:
    """Where browsers find the console.

    With an address, only its host is answered. Without one only loopback names are: a page of another host whose name
    is made to point to 127.0.0.1 (DNS rebinding) is refused.
    """

    def __init__(self, url: str | None) -> None:
        """``url``: `https://HOST[:PORT]`, or `http://` with a loopback name."""
        parts = urlsplit(url) if url else None
        self.secure = parts is not None and parts.scheme == "https"
        self.origin = f"{parts.scheme}://{parts.netloc}".lower() if parts else None
        self._hosts: frozenset[str] | None = None
        if parts is not None:
            port = parts.port or _PORTS[parts.scheme]
            bare = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
            named = {f"{bare}:{port}", *({bare} if port == _PORTS[parts.scheme] else ())}
            self._hosts = frozenset(each.lower() for each in named)
            self.origin = f"{parts.scheme}://{bare}{'' if port == _PORTS[parts.scheme] else f':{port}'}".lower()
        prefix = "__Host-" if self.secure else ""
        self.session_cookie = f"{prefix}callwarden_session"
        self.form_cookie = f"{prefix}callwarden_form"
        self.device_cookie = f"{prefix}callwarden_device"
        self.provider_cookie = f"{prefix}callwarden_provider"

    def answers(self, host: str) -> bool:
        """Whether a request for this `Host` is answered."""
        if self._hosts is None:
            return _LOOPBACK.fullmatch(host) is not None
        return host.lower() in self._hosts

    def origin_of(self, request: Request) -> str:
        """The origin of our own pages for this request, whose host is one that is answered."""
        return self.origin or f"http://{request.headers.get('host', '').lower()}"

    def is_ours(self, request: Request) -> bool:
        """Whether a browser says that one of our own pages sent the request."""
        ours, origin = self.origin_of(request), request.headers.get("origin")
        if origin is not None:
            return origin.lower() == ours
        # Browsers send Origin with each POST; a request without it is taken only if one of these says so instead.
        if (site := request.headers.get("sec-fetch-site")) is not None:
            return site == "same-origin"
        referrer = urlsplit(request.headers.get("referer", ""))
        return f"{referrer.scheme}://{referrer.netloc}".lower() == ours

    def set_cookie(self, response: Response, name: str, value: str, max_age_s: int | None = None) -> None:
        """Set a cookie that only this host gets and no script reads; without ``max_age_s`` until the browser closes."""
        response.set_cookie(name, value, max_age=max_age_s, path="/", secure=self.secure, httponly=True, samesite="lax")

    def delete_cookie(self, response: Response, name: str) -> None:
        """Remove a cookie."""
        response.delete_cookie(name, path="/", secure=self.secure, httponly=True, samesite="lax")


def safe_next(path: str | None) -> str:
    """Where to go after the sign-in: a path of this console, or the start page if it is anything else."""
    if not path or len(path) > _LONGEST_NEXT or not path.startswith("/") or path.startswith(("//", "/sign-")):
        return START
    # Browsers read a backslash as a slash, and drop tabs and line breaks: `/\t/evil.example` is another host to them.
    if "\\" in path or not path.isprintable() or not path.isascii():
        return START
    parts = urlsplit(path)
    return path if not parts.scheme and not parts.netloc else START
