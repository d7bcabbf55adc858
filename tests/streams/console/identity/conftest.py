"""A reviewer with a local account."""

import pytest
from signed_in import LI, add_user

from streams.console.identity.passwords import PasswordChecks
from streams.console.identity.users import Role
from streams.consumers.database import Database


@pytest.fixture
async def li(database: Database, passwords: PasswordChecks) -> None:
    await add_user(database, passwords, LI, Role.REVIEWER)
