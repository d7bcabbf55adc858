"""What commands write: JSON documents, and files.

A file that cannot be created a second time, such as an export, is never overwritten. Output that the same input
produces again, such as the folder of a replay, is.
"""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import typer

from monitor.text.private_files import open_private
from streams.cli.inputs import describe_os_error, fail


def print_json(document: object) -> None:
    """Print the document of ``--json``: one line of UTF-8, whatever the encoding of standard output is."""
    import json

    import msgspec
    import orjson

    try:
        data = orjson.dumps(document, default=msgspec.to_builtins)
    except orjson.JSONEncodeError:  # a record of another program may have a number of more than 64 bits
        data = json.dumps(msgspec.to_builtins(document), ensure_ascii=False).encode()
    typer.echo(data.decode() if sys.stdout.isatty() else data)


def must_be_new(path: Path) -> None:
    """End the command with exit status 2 if the file exists, or its folder does not."""
    if path.is_dir():
        fail(f"{path}: expected the name of a new file, got a folder")
    if path.exists():
        fail(f"{path}: expected a new file; it already exists")
    if not path.parent.is_dir():
        fail(f"{path.parent}: expected an existing folder")


def must_not_be_read(option: str, written: Iterable[Path], read: Iterable[str | Path]) -> None:
    """End the command with exit status 2 if ``option`` makes it write or delete a file that it reads.

    Links, also hard ones, are the file that they lead to. Pipes and devices lose nothing.
    """
    inputs = {_identity(path): path for path in read}
    for path in written:
        if (identity := _identity(path)) and identity in inputs:
            fail(
                f"{path}: the command would overwrite or delete its input {inputs[identity]}, which is the same file; "
                f"choose another {option}"
            )


def must_be_apart(option: str, path: Path, others: Iterable[Path]) -> None:
    """End the command with exit status 2 if ``option`` names one of the ``others`` that the command writes.

    Links are the file that they lead to. Files that do not exist yet are compared by name.
    """
    identity = _identity(path)
    for other in others:
        if os.path.realpath(path) == os.path.realpath(other) or (identity and identity == _identity(other)):
            fail(f"{path}: the command writes {other}, which is the same file; choose another {option}")


def _identity(path: str | Path) -> tuple[int, int] | None:
    """The device and inode of a regular file; None if there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """If ``path`` or a file below it cannot be written, the command ends with a message that names it."""
    try:
        yield
    except OSError as error:
        if error.strerror is None:  # it says itself what is wrong with what was read
            raise
        named = error.filename is not None and not Path(error.filename).name.startswith(f".{path.name}.")
        fail(*describe_os_error(error if named else OSError(error.errno, error.strerror, str(path))))


@contextmanager
def written_new(path: Path) -> Iterator[BinaryIO]:
    """A new file, for its owner alone; until all of it is written there is none of that name.

    A pipe or device is simply written to.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with writing(path), path.open("wb") as file:
            yield file
        return
    must_be_new(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with writing(path):
            with open_private(partial, "xb") as file:
                yield file
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
