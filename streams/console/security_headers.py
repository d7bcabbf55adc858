"""Security headers on every answer: no inline script or style, no frame, no other host, nothing stored."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_ALWAYS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_UNLESS_SET: Final = ((b"cache-control", b"no-store"),)


def with_security_headers(app: ASGIApp) -> ASGIApp:
    """Wrap ``app``. An answer may set its own ``Cache-Control``, as static files do, and none of the others."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                forced = {name for name, _ in _ALWAYS}
                headers = [each for each in message.get("headers", ()) if each[0].lower() not in forced]
                given = {name.lower() for name, _ in headers}
                message["headers"] = [*headers, *_ALWAYS, *(each for each in _UNLESS_SET if each[0] not in given)]
            await send(message)

        await app(scope, receive, sending)

    return call
