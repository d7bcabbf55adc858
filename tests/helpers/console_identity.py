"""A clock that tests of the console move, its users, and the actions that were recorded."""

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from streams.console.identity.users import Role, User
from streams.console.tables import OUTBOX
from streams.consumers.database import Database

NOON_MS = 1_795_579_200_000
ADMIN = User("local:ada", "ada", frozenset({Role.ADMIN}))
PASSWORD = "correct horse battery"


@dataclass
class Clock:
    """Epoch ms that only the test moves."""

    now_ms: int = NOON_MS

    def __call__(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_ms += round(seconds * 1000)

    def monotonic_s(self) -> float:
        """The same time in seconds."""
        return self.now_ms / 1000


def recorded(database: Database) -> list[dict[str, Any]]:
    """The actions recorded so far, in order."""
    with database.reading() as connection:
        return recorded_by(connection)


def recorded_by(connection: Connection) -> list[dict[str, Any]]:
    """The same in a transaction."""
    values = connection.execute(select(OUTBOX.c.value).where(OUTBOX.c.topic == "actions").order_by(OUTBOX.c.number))
    return [json.loads(value) for value in values.scalars()]


def names(database: Database) -> list[str]:
    """The names of the actions recorded so far."""
    return [each["action"] for each in recorded(database)]


def field(page: str, name: str) -> str:
    """The value of a hidden field of a page."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found is not None, f"no field {name} in {page[:2000]}"
    return html.unescape(found[1])
