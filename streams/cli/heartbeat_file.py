"""A file that is touched while a command's loop turns: a command that serves no page is seen to be alive by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

_BEAT_S = 5.0

Alive = Annotated[
    str | None,
    typer.Option(
        "--alive", metavar="FILE", help="Touch this file every 5 s: for a health check, which looks how old it is."
    ),
]


@asynccontextmanager
async def beating(file: str | None) -> AsyncIterator[None]:
    """Touch the file, if one is given, for as long as this lasts. Refused where that cannot be done."""
    from streams.kafka.api import PermanentError

    if file is None:
        yield
        return
    path = Path(file)
    try:
        path.touch()
    except OSError as error:
        raise PermanentError(
            f"--alive {file}: {error.strerror or error}; a file where this user may write would be right"
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
