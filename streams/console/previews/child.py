"""The program of a preview's child process: limits itself, reads its task, and reports progress and result.

``python -m streams.console.previews.child BYTES SECONDS NICE`` reads a pickled `PreviewTask` from its standard input,
and writes lines of reports. It ends when its standard input does: with the console, however that ends.
"""

import os
import resource
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from streams.console.previews.task import PreviewTask

OUT_OF_MEMORY: Final = 4
"""The exit status if there is not even memory for a report."""
_ORPHANED: Final = 3
_SECONDS_TO_REPORT: Final = 5


def limit(memory_bytes: int, cpu_s: int, nice: int) -> None:
    """Limit this process: address space, CPU time, no files, no core dump; the first to be killed without memory."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + _SECONDS_TO_REPORT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    with suppress(OSError):
        os.nice(nice)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")


def main(arguments: list[str]) -> int:
    """Run one preview; returns the exit status."""
    memory_bytes, cpu_s, nice = map(int, arguments)
    limit(memory_bytes, cpu_s, nice)
    # Reports have a descriptor of their own: what a library prints must not appear among them.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for taken in (sys.stdout, sys.stderr):
        os.dup2(nowhere, taken.fileno())
    try:
        import pickle

        task: PreviewTask = pickle.load(sys.stdin.buffer)
        threading.Thread(target=_end_with_parent, daemon=True).start()
        return _run(task, out)
    except MemoryError:
        return OUT_OF_MEMORY


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(_ORPHANED)


def _run(task: "PreviewTask", out: BinaryIO) -> int:
    from streams.console.previews.task import Failed, encode

    try:
        from streams.console.previews.work import run

        report = run(task, lambda progress: _write(out, encode(progress)))
    except MemoryError:
        report = Failed("memory")
    except ImportError as error:  # a library that cannot be mapped
        report = Failed("memory" if "map segment" in str(error) else "crashed", _place(error))
    except Exception as error:  # noqa: BLE001 - a defect, reported by its type and place: its text may hold data
        report = Failed("crashed", _place(error))
    _write(out, encode(report))
    return int(isinstance(report, Failed))


def _write(out: BinaryIO, line: bytes) -> None:
    rest = memoryview(line)
    while rest:
        rest = rest[out.write(rest) :]


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}" if trace is not None else "?"
    return f"{type(error).__name__} at {at}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
