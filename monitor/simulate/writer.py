"""The files of a run: records in order of arrival."""

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from monitor.decoding.input_topics import INPUTS
from monitor.simulate.arrivals import Arrivals


class RecordWriter:
    """Writes ``records.jsonl`` to ``folder``, or with ``split`` one file a topic."""

    def __init__(self, folder: Path, split: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.files = [folder / f"{name}.jsonl" for name in (INPUTS if split else ("records",))]
        self._stack = ExitStack()

    def __enter__(self) -> "RecordWriter":
        self._out = [self._stack.enter_context(path.open("wb")) for path in self.files]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def write(self, arrivals: Arrivals) -> None:
        """Append these records."""
        split = len(self._out) > 1
        for topic, out in enumerate(self._out):
            lines = arrivals.line[arrivals.topic == topic] if split else arrivals.line
            out.write("".join(lines.tolist()).encode())
