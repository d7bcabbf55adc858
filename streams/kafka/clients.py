"""What every aiokafka client is made with, why a cluster cannot be reached, and how clients are closed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError

from streams.kafka.api import TransientError
from streams.kafka.errors import translate_error
from streams.settings.load import Settings

_PROBE_MS = 5_000
_going_on: set[asyncio.Task[Any]] = set()


class Clients:
    """The settings of a cluster in aiokafka's words."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.servers = settings.bootstrap_servers
        password = settings.sasl_password
        self._security: dict[str, Any] = {
            "security_protocol": settings.security,
            "ssl_context": settings.ssl_context(),
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_user,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }

    def common(self) -> dict[str, Any]:
        """Arguments that any client takes."""
        return {
            "bootstrap_servers": self.servers.split(","),
            "client_id": self.settings.application_id,
            **self._security,
        }

    def asker(self, **more: Any) -> AIOKafkaConsumer:
        """A consumer, not started yet, that fetches nothing; the ends that it finds are those of committed records."""
        return AIOKafkaConsumer(
            **self.common(),
            isolation_level="read_committed",
            auto_offset_reset="none",
            enable_auto_commit=False,
            **more,
        )

    def reader(self, *, headers: bool = False, **more: Any) -> AIOKafkaConsumer:
        """A consumer, not started yet, that sees committed records alone and moves by `seek` alone.

        Its `getmany` gives `Columns`, with ``headers`` at twice the cost. Refused: this aiokafka is not known.
        """
        # Here: numpy, which is of no use to a command that only asks.
        from streams.kafka.fetch.columnar_fetch import as_columns, install_columnar_fetch, with_headers

        install_columnar_fetch()
        return self.asker(
            value_deserializer=with_headers if headers else as_columns,
            # A response is in memory as a whole, and so is what it holds, decoded.
            fetch_max_bytes=16 << 20,
            max_partition_fetch_bytes=1 << 20,
            **more,
        )

    async def why(self, error: BaseException, doing: str) -> Exception:
        """``error`` as one of the seam's. aiokafka keeps to itself why it cannot connect, so that is tried again."""
        told = translate_error(error, doing)
        if not isinstance(told, TransientError):
            return told
        for server in self.servers.split(","):
            host, _, port = server.rpartition(":")
            try:
                connection = await create_conn(
                    host.strip("[]"),
                    int(port),
                    client_id=self.settings.application_id,
                    request_timeout_ms=_PROBE_MS,
                    **self._security,
                )
            except Exception as fault:  # noqa: BLE001 - whatever it is, it is what we want to know
                told = translate_error(fault, f"{doing}: {server}")
                if isinstance(fault, KafkaConnectionError):
                    # It was there, and hung up on us.
                    told = TransientError(
                        f"{told}; does that port speak {self.settings.security} (CALLWARDEN_SECURITY)?"
                    )
            else:
                connection.close()
                return translate_error(error, doing)
        return told


async def close(closing: Coroutine[Any, Any, object], within_s: float) -> None:
    """Wait for ``closing``, but not for long: a client without its broker takes its time, and may do so alone.

    Cancelling it would leave some of the client's tasks behind. Never raises what it raises.
    """
    task = asyncio.ensure_future(closing)
    _going_on.add(task)
    task.add_done_callback(_over)
    await asyncio.wait({task}, timeout=within_s)


def _over(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()
