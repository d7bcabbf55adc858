"""The ledger's database, for the process that fills it and for the commands beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import inspect, make_url

from streams.consumers import database
from streams.consumers.database import Database
from streams.consumers.ledger.tables import ENTRIES, REREAD
from streams.kafka.api import PermanentError
from streams.settings.load import Settings


def database_of(settings: Settings) -> Database:
    """The ledger's database. Refused for an address that cannot be read."""
    return Database(settings.ledger_database.get_secret_value(), "ledger")


@contextmanager
def filled(settings: Settings) -> Iterator[Database]:
    """The ledger's database for those who only look at it. Refused where there is no ledger; Unavailable."""
    url = settings.ledger_database.get_secret_value()
    none = "holds no ledger; `callwarden ledger run` fills the one of CALLWARDEN_LEDGER_DATABASE"
    with database.filled(url, "ledger", ENTRIES, none) as ledger:
        with ledger.reading() as connection:
            if not inspect(connection).has_table(REREAD.name):
                raise PermanentError(
                    f"{database.masked_url(make_url(url))} holds the ledger of an earlier release; "
                    "`callwarden ledger run` "
                    "of this one brings it to this release when it starts"
                )
        yield ledger
