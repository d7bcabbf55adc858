"""What is made of files, made again whenever one of them changes."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from monitor.policy.file.errors import PolicyError
from monitor.policy.file.yaml_source import YamlSource, parse
from streams.kafka.api import PermanentError

log = structlog.get_logger("callwarden")

T = TypeVar("T")


class ReloadedFile(Generic[T]):
    """A value read from a file and those that it names. ``read`` gives both, and raises PermanentError."""

    def __init__(self, what: str, read: Callable[[], tuple[T, Sequence[Path]]]) -> None:
        """Raises PermanentError with every fault."""
        self._what, self._read = what, read
        self._value, self._files = read()
        self._seen = self._state()

    def value(self) -> T:
        """The value, of the files as they are. If these have a fault, of the files as they were."""
        if (state := self._state()) != self._seen:
            self._seen = state
            try:
                self._value, self._files = self._read()
            except PermanentError as error:
                log.error(f"the {self._what} file cannot be read, its former content stays valid", why=str(error))
            else:
                self._seen = self._state()
                log.info(f"{self._what} reloaded")
        return self._value

    def _state(self) -> object:
        return [_state(file) for file in self._files]


def _state(file: Path) -> object:
    try:
        found = os.stat(file)
    except OSError as error:
        return error.errno
    return found.st_ino, found.st_size, found.st_mtime_ns


def yaml_file(file: Path, what: str) -> YamlSource:
    """The YAML in a file. Raises PermanentError if there is none."""
    try:
        text = file.read_text("utf-8")
        if not text.strip():
            raise PermanentError(f"{file}: it is empty; expected `{what}:` with a list of {what}")
        return parse(text, str(file))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise PermanentError(
            f"{file} cannot be read: {why}; expected a {what} file, see docs/guides/ingest.md"
        ) from None
    except PolicyError as error:
        raise PermanentError(str(error)) from None
