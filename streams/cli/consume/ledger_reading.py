"""What the commands share that only read the ledger: its database read-only, and how current that is."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import typer

from monitor.text.timestamps import rfc3339
from streams.cli.cluster_session import answers, on_cluster
from streams.consumers.ledger.access import filled
from streams.consumers.ledger.progress import LedgerProgress, progress_of, records_behind
from streams.consumers.ledger.up_to_date import topics_of
from streams.kafka.api import PermanentError, TransientError
from streams.kafka.topic_names import TopicNames
from streams.runtime.wall_clock import epoch_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from streams.kafka.cluster import KafkaCluster
    from streams.settings.load import Settings

_BROKER_S = 5.0
_STALE_MS = 60_000
_SERVICE_MS = 30_000
"""The service writes every few seconds."""

T = TypeVar("T")


class Currency(NamedTuple):
    """How current what was read is. ``behind`` None: that is not known, and ``reason`` says why."""

    progress: LedgerProgress
    behind: int | None
    reason: str = ""

    @property
    def plain(self) -> dict[str, int | None]:
        """For ``--json``."""
        return {"as_of_ms": self.progress.as_of_ms, "behind": self.behind}

    @property
    def as_of(self) -> str | None:
        """The time up to which the database has followed the topics, RFC 3339; None: never to their ends."""
        return None if self.progress.as_of_ms is None else rfc3339(self.progress.as_of_ms, "seconds")


def read_ledger(command: str, settings: "Settings", look: "Callable[[Connection], T]") -> tuple[T, Currency]:
    """The result of ``look`` on one state of the ledger's database, and how current that is. Read-only."""
    with answers(command), filled(settings) as ledger, ledger.reading() as connection:
        found, progress = look(connection), progress_of(connection)
    return found, currency_of(settings, progress)


def currency_of(settings: "Settings", progress: LedgerProgress) -> Currency:
    """How far that state is behind the topics. A broker that does not answer is not waited for."""
    if progress.is_of_files:
        return Currency(progress, None, "the ledger is of files")
    topics = topics_of(TopicNames.from_settings(settings))

    async def count(cluster: "KafkaCluster") -> int:
        async with asyncio.timeout(_BROKER_S):
            return await records_behind(cluster, topics, progress)

    try:
        return Currency(progress, on_cluster(settings, count))
    except TimeoutError:
        return Currency(progress, None, f"the broker has not answered within {_BROKER_S:g} s")
    except (TransientError, PermanentError) as error:
        return Currency(progress, None, str(error))


def report(currency: Currency, *, line: bool = True) -> None:
    """Print how current the output is, unless ``line`` is False; warn on standard error if it is outdated."""
    if currency.progress.is_of_files:
        if line:
            typer.echo("as of the files that were judged")
        return
    now_ms = epoch_ms()
    as_of_ms, service_ms = currency.progress.as_of_ms, currency.progress.service_ms
    if line:
        behind = "an unknown number behind" if currency.behind is None else f"{currency.behind:,} behind"
        typer.echo(f"as of {currency.as_of or 'an unknown time'}, {behind}")
    if service_ms is None or now_ms - service_ms > _SERVICE_MS:
        wrote = None if service_ms is None else rfc3339(service_ms, "seconds")
        since = f"last wrote at {wrote}" if wrote else "has never written to this database"
        _warn(f"no ledger runs: `callwarden ledger run` {since}")
    if currency.behind is None:
        _warn(f"how many records are missing is not known: {currency.reason}")
    if as_of_ms is None:
        _warn("the ledger has never read the topics to their ends")
    elif (age_ms := now_ms - as_of_ms) > _STALE_MS:
        since = rfc3339(as_of_ms, "seconds")
        _warn(f"the ledger is {_age(age_ms)} old: decisions and reviews since {since} may be missing")


def _warn(what: str) -> None:
    typer.echo(f"warning: {what}", err=True)


def _age(ms: int) -> str:
    for unit_ms, unit in ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min")):
        if ms >= unit_ms:
            return f"{ms // unit_ms} {unit}"
    return f"{ms // 1000} s"
