"""Lines that scroll above a status line. On a terminal, lines wrap between words, and the status line stays below."""

import errno
import os
import re
import time
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

# What is not split: a run of letters, or one Chinese character, each with the punctuation that belongs to it.
_UNIT: Final = re.compile(r"[（“‘《]*(?:[^\s\u2e80-\uffef]+|[\u2e80-\uffef])[，。；：、！？）”’》]*|\s+")
# Without a terminal: a status line at most this often, and one in which nothing but times has changed.
_EVERY_S: Final = 30.0
_UNCHANGED_EVERY_S: Final = 300.0

EARLIER_NOTE: Final = "时间后的 < 表示早于上方某行 / `<` after a time: it is earlier than that of a line above"
"""Explains the mark of `streams.cli.event_format`."""


class PipedConsole(Console):
    """Raises BrokenPipeError if the reader of standard output ends. ``Console`` exits: in a task of asyncio, that stops
    the event loop before the clean-up.
    """

    def on_broken_pipe(self) -> None:
        """Called while the error is handled."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Screen:
    """Prints lines and a status line on ``console``; a context manager."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self._clock = console, clock
        self._live: Live | None = None
        self._newest_ms: int | None = None
        self._explained = False
        self._printed: str | None = None
        self._printed_change: Hashable = None
        self._printed_s: float | None = None

    def __enter__(self) -> "Screen":
        if self.console.is_terminal:
            self._live = Live(Text(), console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def line(self, line: str | Text, style: str = "") -> None:
        """Print a line. Without a terminal it stays one line, for programs."""
        text = Text(line, style) if isinstance(line, str) else line
        if not self.console.is_terminal:
            self.console.print(text, soft_wrap=True)
            return
        for part in wrapped(text, self.console.width):
            self.console.print(part, no_wrap=True, crop=False)

    def is_earlier(self, at_ms: int) -> bool:
        """Whether a line of this event time follows one of a later time, which is then explained once."""
        if self._newest_ms is None or at_ms >= self._newest_ms:
            self._newest_ms = at_ms
            return False
        if not self._explained:
            self._explained = True
            self.line(EARLIER_NOTE, "dim")
        return True

    def status(self, status: str, change: Hashable = None) -> None:
        """Show the status line; without a terminal, print it if it has changed, at most every 30 s.

        Lines with an equal ``change`` differ only in what changes constantly: these are printed every five minutes.
        """
        if self._live is not None:
            self._live.update(Text(status, "reverse", no_wrap=True, overflow="ellipsis"))
            return
        if status == self._printed:
            return
        same = change is not None and change == self._printed_change
        every_s = _UNCHANGED_EVERY_S if same else _EVERY_S
        if self._printed_s is None or self._clock() - self._printed_s >= every_s:
            self._printed, self._printed_change, self._printed_s = status, change, self._clock()
            self.line(status, "dim")


def wrapped(text: Text, width: int) -> list[Text]:
    """The text as lines of at most ``width`` cells. Only a word that is wider than a line is split."""
    cuts, used, plain = [], 0, text.plain
    for unit in _UNIT.finditer(plain):
        cells = cell_len(unit[0])
        if used and used + cells > width and not unit[0].isspace():
            cuts.append(unit.start())
            used = 0
        for place, character in enumerate(unit[0], unit.start()) if cells > width else ():
            if used + cell_len(character) > width:
                cuts.append(place)
                used = 0
            used += cell_len(character)
        used += 0 if cells > width else cells
    lines = list(text.divide(cuts))
    for line in lines:
        line.rstrip()
    return lines
