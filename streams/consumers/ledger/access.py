"""The ledger's database, for the process that writes it and for the commands that read it."""

from collections.abc import Iterator
from contextlib import contextmanager

from streams.consumers import database
from streams.consumers.database import Database
from streams.consumers.ledger.tables import ENTRIES
from streams.settings.load import Settings


def database_of(settings: Settings) -> Database:
    """The ledger's database. Raises PermanentError if the address cannot be parsed."""
    return Database(settings.ledger_database.get_secret_value(), "ledger")


@contextmanager
def filled(settings: Settings) -> Iterator[Database]:
    """The ledger's database, opened read-only. Raises PermanentError if it holds no ledger; TransientError."""
    url = settings.ledger_database.get_secret_value()
    none = "contains no ledger; expected the database that `callwarden ledger run` fills: CALLWARDEN_LEDGER_DATABASE"
    with database.filled(url, "ledger", ENTRIES, none, read_only=True) as ledger:
        yield ledger
