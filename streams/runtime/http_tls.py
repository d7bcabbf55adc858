"""TLS handshakes of untrusted clients: a connection counts, and has a deadline, from the moment at which it is open.

asyncio and uvicorn would know of a connection only after its handshake, for which a client may take a minute.
"""

import asyncio
import ssl
from collections.abc import Callable

from streams.runtime.http_connection import LINGER_S, Connection, Connections


class Handshake(asyncio.Protocol):
    """A connection until its TLS handshake is done; then the one of ``make`` takes its place among ``connections``.

    ``stopping``: whether the server ends, and takes no new connection.
    """

    def __init__(
        self,
        connections: Connections,
        tls: ssl.SSLContext,
        make: Callable[[], Connection],
        stopping: Callable[[], bool],
    ) -> None:
        self._all, self._tls, self._make, self._stopping = connections, tls, make, stopping
        self.deadline_s = connections.now_s() + connections.limits.header_s
        self._early = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        transport.pause_reading()
        self._transport = transport
        # It cannot be told before the handshake that all are being served.
        if self._stopping() or not self._all.admit(self):
            transport.abort()
            return
        self._shaking = asyncio.get_running_loop().create_task(self._shake(), name="tls-handshake")

    def data_received(self, data: bytes) -> None:
        """What comes with the end of the handshake, and so before the next protocol is there."""
        self._early += data

    def expire(self) -> None:
        """Close it: a client that does not speak TLS understands no answer."""
        self._all.log.warn("a TLS handshake takes too long", s=self._all.limits.header_s)
        self._all.refused("deadline")
        self.abort()

    def abort(self) -> None:
        """Close it at once."""
        self._shaking.cancel()
        self._give_up()

    async def _shake(self) -> None:
        try:
            transport = await asyncio.get_running_loop().start_tls(
                self._transport, self, self._tls, server_side=True, ssl_shutdown_timeout=LINGER_S
            )
        except ssl.SSLError as error:
            self._all.log.warn("a TLS handshake failed", why=error.reason)
            self._all.refused("unreadable")
        except OSError:
            pass  # the client has left
        else:
            if transport is not None and not self._stopping():
                self._succeed(transport)
                return
        self._give_up()

    def _give_up(self) -> None:
        self._all.remove(self)
        self._transport.abort()

    def _succeed(self, transport: asyncio.Transport) -> None:
        self._all.remove(self)
        connection = self._make()
        transport.set_protocol(connection)
        connection.connection_made(transport)
        if self._early:
            connection.data_received(bytes(self._early))
