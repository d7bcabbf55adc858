"""Phases: where the CPU time of a replay goes, by wrapping the functions at which one phase hands over to the next.

Each function's time is its own, without that of wrapped functions which it calls; what no phase claims is ``rest``.
"""

import functools
import importlib
import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

REST = "rest: the loop over pieces and instants"
# A name is looked up where it is called from: `monitor.intake:to_columns` is the one that `intake` imported.
PHASES: dict[str, tuple[str, ...]] = {
    "read and split": ("monitor.replay:pieces",),
    "look for flaws": ("schemas.codec:decoder_for",),
    "decode": ("monitor.intake:Decoder.lines",),
    "gather fields": ("monitor.intake:Gathered.add",),
    "columns": ("monitor.intake:to_columns",),
    "keys": ("monitor.shard.columns:text_keys", "monitor.shard.columns:number_keys"),
    "clocks and merge": ("monitor.intake:Source.place", "monitor.replay:merge"),
    "tables of tenants": ("monitor.shard.columns:Gathered.tenant",),
    "copy rows": ("monitor.shard.columns:Counted.take", "monitor.shard.columns:Counted.concat"),
    "take in": ("monitor.shard.shard:Shard.apply",),
    "duplicates": ("monitor.shard.seen:Seen.admit",),
    "seal": ("monitor.shard.shard:Shard._seal", "monitor.shard.unsealed:Unsealed._sum_up"),
    "seal: parties": ("monitor.shard.parties:KeyCounts.of_each",),
    "seal: evidence": ("monitor.shard.pane:newest_of_groups",),
    "enter and leave windows": (
        "monitor.shard.span:Level.enter",
        "monitor.shard.span:Level.leave",
        "monitor.shard.gathering:merge",
        "monitor.shard.windows:merge",
    ),
    "tallies": ("monitor.shard.span:Tally.enter", "monitor.shard.span:Tally.leave"),
    "evidence": ("monitor.shard.evidence:Evidence.add",),
    "find what is due": ("monitor.shard.shard:Shard._next_end", "monitor.shard.judge:Judge.due"),
    "judge": ("monitor.shard.judge:Judge.judge",),
    "decide and alert": (
        "monitor.shard.judge:Judge._decide",
        "monitor.shard.docket:Alerts.fire",
        "monitor.shard.docket:Alerts.resolve",
    ),
    "what is not a call": ("monitor.shard.records:Records.decide_next", "monitor.shard.decisions:Decisions.lapse"),
    "output": ("monitor.output:write",),
}


class Clock:
    """Shares out time among nested phases: it runs for the innermost, and only within ``with clock:``."""

    def __init__(self, now_ns: Callable[[], int] = time.process_time_ns) -> None:
        self.spent_ns: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._now_ns = now_ns
        self._open: list[str] = []
        self._since_ns = 0

    def __enter__(self) -> "Clock":
        self.enter(REST)
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def enter(self, phase: str) -> None:
        """``phase`` begins, inside whatever runs."""
        self._charge()
        self.calls[phase] += 1
        self._open.append(phase)

    def leave(self) -> None:
        """The innermost phase ends."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now_ns = self._now_ns()
        if self._open:
            self.spent_ns[self._open[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns


@contextmanager
def watched(clock: Clock, phases: Mapping[str, Sequence[str]] = PHASES) -> Iterator[None]:
    """While it lasts, the functions of ``phases`` are timed. LookupError names those that are not there any more."""
    places = [(phase, *_place(name)) for phase, names in phases.items() for name in names]
    with ExitStack() as stack:
        for phase, owner, attribute in places:
            raw = vars(owner)[attribute]
            timed: Any
            if isinstance(raw, classmethod):
                timed = classmethod(_timed(raw.__func__, phase, clock))
            elif isinstance(raw, staticmethod):
                timed = staticmethod(_timed(raw.__func__, phase, clock))
            else:
                timed = _timed(raw, phase, clock)
            stack.enter_context(patch.object(owner, attribute, timed))
        yield


def _place(name: str) -> tuple[Any, str]:
    module, _, path = name.partition(":")
    *outer, attribute = path.split(".")
    try:
        owner: Any = importlib.import_module(module)
        for part in outer:
            owner = getattr(owner, part)
        vars(owner)[attribute]
    except (ImportError, AttributeError, KeyError) as error:
        raise LookupError(f"{name} is not there any more: name in bench/phases.py what took its place") from error
    return owner, attribute


def _timed(function: Callable[..., Any], phase: str, clock: Clock) -> Callable[..., Any]:
    if inspect.isgeneratorfunction(function):  # its time is that of its steps

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            generator = function(*args, **kwargs)
            while True:
                clock.enter(phase)
                try:
                    item = next(generator)
                except StopIteration:
                    return
                finally:
                    clock.leave()
                yield item

        return steps

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        clock.enter(phase)
        try:
            return function(*args, **kwargs)
        finally:
            clock.leave()

    return call
