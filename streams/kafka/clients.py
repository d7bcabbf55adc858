"""The arguments of every aiokafka client, why a cluster cannot be reached, and how clients are closed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError

from streams.kafka.api import TransientError
from streams.kafka.errors import translate_error
from streams.settings.load import Settings
from streams.wording.kafka_wording import kafka_text

_PROBE_MS = 5_000
_going_on: set[asyncio.Task[Any]] = set()


class Clients:
    """The settings of a cluster as arguments of aiokafka clients. ``group``: the consumer group; None: the workers'."""

    def __init__(self, settings: Settings, group: str | None = None) -> None:
        self.settings = settings
        self.group = settings.group if group is None else group
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
        """Arguments of every client."""
        return {
            "bootstrap_servers": self.servers.split(","),
            "client_id": self.settings.application_id,
            **self._security,
        }

    def asker(self, *, auto_offset_reset: str = "none", committed: bool = True, **more: Any) -> AIOKafkaConsumer:
        """An unstarted consumer that fetches nothing; its end offsets are those of committed records, unless
        ``committed`` is false.
        """
        return AIOKafkaConsumer(
            **self.common(),
            isolation_level="read_committed" if committed else "read_uncommitted",
            auto_offset_reset=auto_offset_reset,
            enable_auto_commit=False,
            **more,
        )

    def reader(self, *, headers: bool = False, **more: Any) -> AIOKafkaConsumer:
        """An unstarted consumer that sees only committed records and, without a group, moves only by `seek`.

        Its `getmany` returns `RecordColumns`, with the signatures of reviews; ``headers``, all of them, double the
        cost. Raises PermanentError if this release of aiokafka is not supported.
        """
        # Imported here: a command that only queries metadata does not need numpy.
        from streams.kafka.fetch.columnar_fetch import AsColumns, install_columnar_fetch

        install_columnar_fetch()
        return self.asker(
            value_deserializer=AsColumns(headers, f"{self.settings.input_prefix}reviews"),
            # A response is in memory as a whole, and so are its decoded records.
            fetch_max_bytes=16 << 20,
            max_partition_fetch_bytes=1 << 20,
            **more,
        )

    async def explain_error(self, error: BaseException, doing: str) -> Exception:
        """``error`` as one of `streams.kafka.api`'s. Connects once more, for aiokafka does not say why it cannot."""
        translated = translate_error(error, doing)
        if not isinstance(translated, TransientError):
            return translated
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
            except Exception as fault:  # noqa: BLE001 - any error is the answer
                translated = translate_error(fault, f"{doing}: {server}")
                if isinstance(fault, KafkaConnectionError):
                    # The server accepted the connection and closed it.
                    values = {"why": translated, "security": self.settings.security}
                    translated = TransientError(kafka_text("other_protocol", **values))
            else:
                connection.close()
                return translate_error(error, doing)
        return translated


async def close(closing: Coroutine[Any, Any, object], within_s: float) -> None:
    """Wait for ``closing`` for at most ``within_s``; a client without its broker then closes in the background.

    Cancelling it would leave some of the client's tasks behind. Errors of ``closing`` are dropped.
    """
    task = asyncio.ensure_future(closing)
    _going_on.add(task)
    task.add_done_callback(_over)
    await asyncio.wait({task}, timeout=within_s)


def _over(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled():
        task.exception()
