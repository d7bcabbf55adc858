"""Locks among the processes that use one database. The system ends the lock of a process that is killed."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, text

Acquire = Callable[[], bool]
"""Tries to take the lock, without waiting, and returns whether it is held. It is released with its context."""


@contextmanager
def file_lock(beside: Path, name: str) -> Iterator[Acquire]:
    """A lock on an empty file beside a SQLite database. Raises OSError."""
    descriptor = os.open(beside.with_name(f"{beside.name}-{name}.lock"), os.O_CREAT | os.O_WRONLY, 0o600)

    def acquire() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        yield acquire
    finally:
        os.close(descriptor)


@contextmanager
def server_lock(engine: Engine, name: str) -> Iterator[Acquire]:
    """An advisory lock of PostgreSQL, on a connection of its own. Raises DBAPIError."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # closing it then ends the session, and with it the lock

        def acquire() -> bool:
            tried = connection.execute(text("SELECT pg_try_advisory_lock(hashtext(:name))"), {"name": name})
            return bool(tried.scalar_one())

        yield acquire
