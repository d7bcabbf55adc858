"""Whether a program may write to its topics: known before it has anything to write."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from streams.kafka.api import PermanentError, TransientError
from streams.wording.kafka_wording import kafka_text

log = structlog.get_logger("callwarden")

_LOOK_S: Final = 10.0


class RightsCluster(Protocol):
    """A cluster as this look-up uses it."""

    async def not_writable(self, names: Sequence[str]) -> list[str]:
        """The existing ones of these topics that ACLs do not allow us to write to. Raises TransientError and
        PermanentError."""
        ...


class WriteRights:
    """The rights on ``topics``, looked up again and again by `run`."""

    def __init__(self, cluster: RightsCluster, topics: Sequence[str]) -> None:
        self._cluster, self._topics = cluster, topics
        self.missing: str | None = None
        """What is not allowed and how to allow it; None if nothing is known to be missing."""

    async def run(self) -> None:
        """Follow the rights until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_LOOK_S)

    async def look(self) -> None:
        """Look them up once. A cluster that does not answer changes nothing: what reads reports it."""
        try:
            refused = await self._cluster.not_writable(self._topics)
        except (TransientError, PermanentError):
            return
        missing = kafka_text("no_write", topics=", ".join(refused)) if refused else None
        if missing is not None and missing != self.missing:
            log.warning("records cannot be written", why=missing)
        self.missing = missing
