"""A file that a running command touches: the health check of a command that serves no page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

_BEAT_S = 5.0

Alive = Annotated[
    str | None,
    typer.Option("--alive", metavar="FILE", help="Touch this file every 5 s, for a health check of its age."),
]


@asynccontextmanager
async def beating(file: str | None) -> AsyncIterator[None]:
    """Touch the file, if one is given, while the context is active. Fails if it cannot be touched."""
    from streams.kafka.api import PermanentError

    if file is None:
        yield
        return
    path = Path(file)
    try:
        path.touch()
    except OSError as error:
        raise PermanentError(
            f"--alive {file}: {error.strerror or error}; expected a file that this user may write"
        ) from None
    beat = asyncio.create_task(_beat(path))
    try:
        yield
    finally:
        beat.cancel()
        await asyncio.wait([beat])


async def _beat(path: Path) -> None:
    while True:
        await asyncio.sleep(_BEAT_S)
        path.touch()
