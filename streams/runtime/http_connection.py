"""HTTP connections of untrusted clients: each has deadlines, their number is limited, and none causes a traceback.

uvicorn has a deadline only for idle connections, and no limit that protects the system's descriptors.
"""

import asyncio
import enum
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Literal, Protocol

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from streams.runtime.http_problem import PROBLEM_TYPE, problem_body
from streams.runtime.log_limiter import LogLimiter

LINGER_S: Final = 2.0
"""How long a connection that is closed may take to send what was answered last."""

_FREE_CHUNKS: Final = 1_000
_LEAST_CHUNK_BYTES: Final = 64
"""What chunks beyond the first thousand of a request have on average; clients that stream send hundreds or more."""
_SMALL: Final = f"it has {_FREE_CHUNKS:,} chunks; expected chunks of {_LEAST_CHUNK_BYTES} bytes or more on average"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits of one server.

    ``header_s``: from the first byte of a request, or from the connection, to the end of its header. ``request_s``:
    from there until its response is sent. ``idle_s``: between two requests. ``larger_bodies``: by method and path, what
    replaces ``body_bytes``.
    """

    connections: int
    header_s: float = 10.0
    request_s: float = 30.0
    idle_s: float = 30.0
    header_bytes: int = 16_384
    body_bytes: int = 65_536
    larger_bodies: Mapping[tuple[str, str], int] = field(default_factory=dict)


class ConnectionPhase(enum.Enum):
    """What a connection waits for."""

    HEADER = "the header of a request"
    REQUEST = "the rest of a request, or its response"
    IDLE = "the next request"
    CLOSING = "what was sent last"


class ClientWait(enum.Enum):
    """What a connection waits for its client to do, and so may wait for ever."""

    NOTHING = "nothing"
    REQUEST = "to send a request"
    REST = "to send the rest of a request, or to read its response"


class GuardedProtocol(Protocol):
    """A connection as `Connections` sees it."""

    deadline_s: float

    def expire(self) -> None:
        """Handle that the deadline has passed."""
        ...

    def abort(self) -> None:
        """Close it at once."""
        ...


Refusals = Callable[[Literal["limit", "deadline", "unreadable"]], None]
"""Called with the reason for each connection that is closed unserved."""


class Connections:
    """The connections of one server.

    At the limit, a new connection replaces the one that has waited longest for a request; if none waits for one, the
    one that has waited longest for the rest of a request, or for its client to read. So a client that sends its whole
    request at once, and reads, is served however many connections others hold open.
    """

    def __init__(
        self, limits: ConnectionLimits, now_s: Callable[[], float], log: LogLimiter, refused: Refusals
    ) -> None:
        self.limits, self.now_s, self.log, self.refused = limits, now_s, log, refused
        # Each in the order in which they began to wait.
        self._waiting: dict[ClientWait, dict[GuardedProtocol, None]] = {ClientWait.REQUEST: {}, ClientWait.REST: {}}
        self._open: set[GuardedProtocol] = set()

    def __iter__(self) -> Iterator[GuardedProtocol]:
        return iter(list(self._open))

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: GuardedProtocol) -> bool:
        """Whether a new connection may stay; it then waits for its first request."""
        if len(self._open) >= self.limits.connections:
            self.log.warn("too many HTTP connections: those that wait for clients are closed", limit=len(self._open))
            self.refused("limit")
            longest = next((each for some in self._waiting.values() for each in some), None)
            if longest is None:
                return False
            self.remove(longest)
            longest.abort()
        self._open.add(connection)
        self._waiting[ClientWait.REQUEST][connection] = None
        return True

    def waits(self, connection: GuardedProtocol, wait: ClientWait) -> None:
        """Record what the connection waits for; it keeps its place if it waited for that already."""
        for each, some in self._waiting.items():
            if each is not wait:
                some.pop(connection, None)
            elif connection in self._open:
                some.setdefault(connection)

    def remove(self, connection: GuardedProtocol) -> None:
        """Remove a closed connection."""
        self._open.discard(connection)
        self.waits(connection, ClientWait.NOTHING)

    def sweep(self) -> None:
        """Expire the connections whose deadline has passed."""
        now_s = self.now_s()
        for connection in [each for each in self._open if each.deadline_s <= now_s]:
            connection.expire()


class _StrictParser(h11.Connection):
    """h11's parser, without what it lets pass although it is ambiguous, or costs far more than its bytes.

    - A request with a length and in chunks: a proxy that goes by the length sees another end of it, and so what one of
      its clients has sent as another client's request (RFC 9112, 6.1).
    - A header above the limit that comes in one piece.
    - Many tiny chunks: parsing one costs as much as a kilobyte of a body does.
    """

    def __init__(self, header_bytes: int) -> None:
        super().__init__(h11.SERVER, header_bytes)
        self._header_bytes, self._chunks, self._chunked_bytes = header_bytes, 0, 0

    def next_event(self) -> Any:
        """See h11. Raises RemoteProtocolError."""
        event = super().next_event()
        if type(event) is h11.Data:
            self._chunks += event.chunk_start
            self._chunked_bytes += len(event.data)
            if self._chunks > _FREE_CHUNKS and self._chunked_bytes < self._chunks * _LEAST_CHUNK_BYTES:
                raise h11.RemoteProtocolError(_SMALL)
        elif type(event) is h11.Request:
            self._chunks = self._chunked_bytes = 0
            names = [name for name, _ in event.headers]
            if b"transfer-encoding" in names and b"content-length" in names:
                raise h11.RemoteProtocolError("it has both Transfer-Encoding and Content-Length; expected one of them")
            if len(event.target) + sum(len(name) + len(value) for name, value in event.headers) > self._header_bytes:
                raise h11.RemoteProtocolError(f"expected a header of at most {self._header_bytes:,} bytes", 431)
        return event


class Connection(H11Protocol):
    """uvicorn's connection with deadlines. An unreadable request is answered with a 4xx, and the connection closed."""

    def __init__(self, connections: Connections, **given: Any) -> None:
        super().__init__(**given)
        self.conn = _StrictParser(connections.limits.header_bytes)
        self._all, self._limits = connections, connections.limits
        self._seconds = {
            ConnectionPhase.HEADER: self._limits.header_s,
            ConnectionPhase.REQUEST: self._limits.request_s,
            ConnectionPhase.IDLE: self._limits.idle_s,
            ConnectionPhase.CLOSING: LINGER_S,
        }
        self.phase = ConnectionPhase.HEADER
        self._request: object = None
        self._has_sent = False
        self.deadline_s = connections.now_s() + self._limits.header_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if not self._all.admit(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are being served; ask again")

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._has_sent = True
        super().data_received(data)
        self._look(data_came=True)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look(data_came=False)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look(data_came=False)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._look(data_came=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.remove(self)
        super().connection_lost(exc)

    def shutdown(self) -> None:
        if self.transport.is_closing():
            self.abort()
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn while it handles an error of h11."""
        error = sys.exception()
        hint = getattr(error, "error_status_hint", HTTPStatus.BAD_REQUEST)
        # After the colon h11's message quotes the request, which may contain a tenant's id.
        kind = str(error).partition(":")[0]
        self._all.log.warn("an HTTP request that cannot be read is refused", why=kind, status=int(hint))
        self._all.refused("unreadable")
        self._refuse(HTTPStatus(hint), f"the request cannot be read: {kind}")

    def expire(self) -> None:
        """Answer with 408 if no response has begun, and close."""
        if self.phase is ConnectionPhase.CLOSING or self.transport.is_closing():
            return self.abort()
        phase, cycle = self.phase, self.cycle
        if phase is not ConnectionPhase.IDLE:
            waited_s = self._seconds[phase]
            self._all.log.warn("an HTTP connection is closed: it waits too long", waits_for=phase.value, s=waited_s)
            self._all.refused("deadline")
        answered = cycle is not None and cycle.response_started and phase is ConnectionPhase.REQUEST
        if phase is ConnectionPhase.IDLE or answered or not self._has_sent:
            return self.abort()
        return self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the request did not come in time")

    def abort(self) -> None:
        """Close at once; unsent data is lost."""
        self._end_request()
        self.transport.abort()

    def _look(self, *, data_came: bool) -> None:
        """Update what the connection waits for, and until when."""
        cycle = self.cycle
        if self.transport.is_closing():
            phase = ConnectionPhase.CLOSING
        elif cycle is not None and self._is_under_way(cycle):
            phase = ConnectionPhase.REQUEST
        elif data_came and self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            phase = ConnectionPhase.HEADER
        else:
            phase = self.phase if cycle is None else ConnectionPhase.IDLE
        if phase is not self.phase or cycle is not self._request:
            self.phase, self._request = phase, cycle
            self.deadline_s = self._all.now_s() + self._seconds[phase]
        self._all.waits(self, self._client_wait(cycle))

    def _client_wait(self, cycle: Any) -> ClientWait:
        if self.phase in (ConnectionPhase.HEADER, ConnectionPhase.IDLE):
            return ClientWait.REQUEST
        if self.phase is ConnectionPhase.CLOSING:
            return ClientWait.NOTHING
        if self.flow.write_paused:
            return ClientWait.REST
        # An answered request needs no connection for the rest of its body.
        if cycle.response_complete:
            return ClientWait.REQUEST
        return ClientWait.REST if cycle.more_body else ClientWait.NOTHING

    def _is_under_way(self, cycle: Any) -> bool:
        """Whether the response is not fully sent or not read by the client, or the request is still arriving."""
        return not cycle.response_complete or self.flow.write_paused or self.conn.their_state is h11.SEND_BODY

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer with ``status``, unless an answer has begun, and close."""
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        self._end_request()
        if not begun:
            body = problem_body(status, status.phrase, why)
            head = f"HTTP/1.1 {status} {status.phrase}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
            self.transport.write(head.encode() + b"Content-Type: " + PROBLEM_TYPE.encode() + b"\r\n\r\n" + body)
        self.transport.close()
        self.phase, self.deadline_s = ConnectionPhase.CLOSING, self._all.now_s() + LINGER_S
        self._all.waits(self, ClientWait.NOTHING)

    def _end_request(self) -> None:
        """Drop the response of a request in progress, as if the client had disconnected."""
        self._unset_keepalive_if_required()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.flow.resume_writing()
