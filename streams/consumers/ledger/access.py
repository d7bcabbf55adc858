"""The ledger's database, for the process that fills it and for the commands beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.consumers import database
from streams.consumers.database import Database
from streams.consumers.ledger.tables import ENTRIES
from streams.settings.load import Settings


def database_of(settings: Settings) -> Database:
    """The ledger's database. Refused for an address that cannot be read."""
    return Database(settings.ledger_database.get_secret_value(), "ledger")


@contextmanager
def filled(settings: Settings) -> Iterator[Database]:
    """The ledger's database, opened to be read only. Refused where there is no ledger; Unavailable."""
    url = settings.ledger_database.get_secret_value()
    none = "holds no ledger; `callwarden ledger run` fills the one of CALLWARDEN_LEDGER_DATABASE"
    with database.filled(url, "ledger", ENTRIES, none, read_only=True) as ledger:
        yield ledger
