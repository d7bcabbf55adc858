"""What commands write to a terminal: whatever of it came from outside, no character of it acts there."""

import os
import sys
from typing import Any, TextIO

from monitor.text.masking import visible_lines


class TerminalWriter:
    """A stream on which no character acts but line ends and tabs: an escape appears as ``\\u001b``.

    Colours and progress go around it, by ``rich_proxied_file``: that is the name by which rich finds the stream behind
    another one, and writes there what it has drawn itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write ``text`` with what acts made visible."""
        self.rich_proxied_file.write(visible_lines(text))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


def raw_stream(stream: TextIO) -> TextIO:
    """The stream itself, for what is drawn: of text from outside only what was made visible may be among it."""
    found: TextIO = getattr(stream, "rich_proxied_file", stream)
    return found


def guard() -> None:
    """Guard standard error, and standard output if it is a terminal: otherwise it may be data for a program.

    One that is closed, as by ``>&-``, becomes the null device: Python has no stream for it.
    """
    if sys.stdout is None:
        sys.stdout = _null()
    if sys.stderr is None:
        sys.stderr = _null()
    sys.stderr = _guarded(sys.stderr)
    if sys.stdout.isatty():
        sys.stdout = _guarded(sys.stdout)


def _null() -> TextIO:
    return os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _guarded(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, TerminalWriter) else TerminalWriter(stream)  # type: ignore[return-value]
