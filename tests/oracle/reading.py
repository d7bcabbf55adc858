"""Section 3: files as sources, their clocks, late, raised and rejected records, and which calls are duplicates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from oracle.records import parse, written_time


@dataclass
class Read:
    """The result of reading the files. Records carry ``t`` (event time after raising), ``seq``, ``file``, ``line``."""

    calls: list[dict[str, Any]] = field(default_factory=list)
    others: list[dict[str, Any]] = field(default_factory=list)
    late: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[tuple[int, int, int, str]] = field(default_factory=list)  # seq, file, line, reason
    duplicates: int = 0
    read: int = 0
    largest: int | None = None


def read_files(
    files: Sequence[Sequence[str | bytes]], lateness_ms: int | Callable[[int], int], not_after_ms: int | None
) -> Read:
    """Read all files, always the next line of the file whose clock is least; for equal clocks, of the first file.

    ``lateness_ms`` may be a function from a clock to its late line.
    """
    out = Read()
    at = [0] * len(files)
    clock: list[int | None] = [None] * len(files)  # None: no record yet, before all
    used: dict[tuple[str, str], list[int]] = {}  # (tenant, call id) -> event times at which it was accepted
    seq = 0
    while True:
        open_files = [i for i in range(len(files)) if at[i] < len(files[i])]
        if not open_files:
            break
        src = min(open_files, key=lambda i: (clock[i] is not None, clock[i] or 0, i))
        line = files[src][at[src]]
        at[src] += 1
        if not line.strip():
            continue
        out.read += 1
        seq += 1
        record = parse(line)
        if record is None:
            out.rejected.append((seq, src, at[src], "invalid"))
            continue
        time = written_time(record)
        if not_after_ms is not None and time > not_after_ms:
            out.rejected.append((seq, src, at[src], "future_event"))
            continue
        before = clock[src]
        now = time if before is None else max(before, time)
        clock[src] = now
        late_line = now - lateness_ms if isinstance(lateness_ms, int) else lateness_ms(now)
        record.update(t=time, seq=seq, file=src, line=at[src])
        if record["type"] != "cdr":
            record["t"] = max(time, late_line)
            out.others.append(record)
            continue
        if time < late_line:
            out.late.append(record)
            continue
        times = used.setdefault((record["tenant_id"], record["call_id"]), [])
        if any(t >= late_line for t in times):
            out.duplicates += 1
            continue
        times.append(time)
        out.calls.append(record)
    clocks = [c for c in clock if c is not None]
    out.largest = max(clocks) if clocks else None
    return out
