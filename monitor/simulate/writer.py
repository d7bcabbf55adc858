"""The files of a run: records in the order in which they arrive."""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from monitor.simulate.population import Ints

# A record's file when each topic has its own: the topics' names without their prefix.
FILE_OF = {
    "cdr": "cdr",
    "complaint": "complaints",
    "finding": "findings",
    "tenant": "tenants",
    "application": "tenants",
    "review": "reviews",
}
Lines = NDArray[np.object_]


class Writer:
    """Takes records with their times of arrival and writes them sorted by it, ties in the order they were given.

    `flush` writes what has arrived before a time; nothing that arrives earlier may be given after it. With
    ``split`` there is one file a topic, else all is in ``records.jsonl``.
    """

    def __init__(self, folder: Path, split: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files: list[Path] = []
        self._names = {kind: name if split else "records" for kind, name in FILE_OF.items()}
        self._folder = folder
        self._stack = ExitStack()
        self._out: dict[str, BinaryIO] = {}
        self._calls: list[tuple[Ints, Lines]] = []
        self._others: list[tuple[int, int, str, str]] = []
        self._given = 0

    def __enter__(self) -> "Writer":
        for name in dict.fromkeys(self._names.values()):
            path = self._folder / f"{name}.jsonl"
            self._out[name] = self._stack.enter_context(path.open("wb"))
            self.files.append(path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def calls(self, arrival_ms: Ints, lines: Lines) -> None:
        """Take calls."""
        self._calls.append((arrival_ms, lines))

    def other(self, arrival_ms: int, kind: str, line: str) -> None:
        """Take one record that is not a call; ``kind`` is its type."""
        self._given += 1
        heapq.heappush(self._others, (arrival_ms, self._given, self._names[kind], line))

    def flush(self, before_ms: int) -> None:
        """Write what arrives before that time."""
        arrival = np.concatenate([np.empty(0, dtype=np.int64), *(chunk[0] for chunk in self._calls)])
        lines = np.concatenate([np.empty(0, dtype=object), *(chunk[1] for chunk in self._calls)])
        due = arrival < before_ms
        self._calls = [(arrival[~due], lines[~due])]
        arrival, lines = arrival[due], lines[due]
        others: dict[str, tuple[list[int], list[str]]] = {}
        for when, name, line in self._due(before_ms):
            times, texts = others.setdefault(name, ([], []))
            times.append(when)
            texts.append(line)
        for name, out in self._out.items():
            times, texts = others.get(name, ([], []))
            is_calls = name == self._names["cdr"]
            when_all = np.concatenate([arrival if is_calls else arrival[:0], np.array(times, dtype=np.int64)])
            text_all = np.concatenate([lines if is_calls else lines[:0], np.array(texts, dtype=object)])
            order = np.argsort(when_all, kind="stable")
            out.write("".join(text_all[order].tolist()).encode())

    def _due(self, before_ms: int) -> Iterator[tuple[int, str, str]]:
        while self._others and self._others[0][0] < before_ms:
            when, _, name, line = heapq.heappop(self._others)
            yield when, name, line
