"""Phases: the CPU time of a replay by phase, measured by wrapping the functions where one phase calls the next.

Each function's time excludes that of wrapped functions that it calls; time outside all phases is ``rest``.
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
# A name is patched in the module that calls it: `monitor.decoding.decode:to_columns` is the name that `intake`
# imported.
PHASES: dict[str, tuple[str, ...]] = {
    "read and split": ("monitor.replay.run:line_chunks",),
    "look for flaws": ("schemas.codec:decoder_for",),
    "decode": ("monitor.decoding.decode:Decoder.lines",),
    "gather fields": ("monitor.decoding.decode:Gathered.add",),
    "columns": ("monitor.decoding.decode:to_columns",),
    "keys": ("monitor.core.calls.columns:text_keys", "monitor.core.calls.columns:number_keys"),
    "clocks and merge": ("monitor.decoding.decode:Source.place", "monitor.replay.run:merge"),
    "tables of tenants": ("monitor.core.calls.columns:Gathered.tenant",),
    "copy rows": ("monitor.core.calls.columns:CountedCalls.take", "monitor.core.calls.columns:CountedCalls.concat"),
    "take in": ("monitor.core.shard:Shard.apply",),
    "duplicates": ("monitor.core.calls.dedup:Deduplicator.admit",),
    "seal": ("monitor.core.shard:Shard._seal", "monitor.core.windows.open_panes:OpenPanes._sum_up"),
    "seal: parties": ("monitor.core.windows.key_counts:KeyCounts.of_each",),
    "seal: evidence": ("monitor.core.windows.pane:newest_of_groups",),
    "enter and leave windows": (
        "monitor.core.windows.window:RunningSums.enter",
        "monitor.core.windows.window:RunningSums.leave",
        "monitor.core.windows.pane_merger:merge",
        "monitor.core.windows.window_set:merge",
    ),
    "tallies": ("monitor.core.windows.window:DistinctCounts.enter", "monitor.core.windows.window:DistinctCounts.leave"),
    "evidence": ("monitor.core.calls.evidence:NewestCalls.add",),
    "find what is due": ("monitor.core.shard:Shard._next_end", "monitor.core.rules.evaluator:RuleEvaluator.due"),
    "judge": ("monitor.core.rules.evaluator:RuleEvaluator.evaluate",),
    "decide and alert": (
        "monitor.core.rules.measured_decisions:MeasuredDecisions.decide",
        "monitor.core.rules.rule_state:Alerts.fire",
        "monitor.core.rules.rule_state:Alerts.resolve",
    ),
    "what is not a call": (
        "monitor.core.decisions.record_handlers:RecordHandlers.decide",
        "monitor.core.decisions.lifecycle:DecisionLifecycle.lapse",
    ),
    "output": ("monitor.replay.output:write",),
}


class Clock:
    """Divides time among nested phases: it runs for the innermost, and only within ``with clock:``."""

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
        """Enter ``phase``, inside the current one."""
        self._charge()
        self.calls[phase] += 1
        self._open.append(phase)

    def leave(self) -> None:
        """Leave the innermost phase."""
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now_ns = self._now_ns()
        if self._open:
            self.spent_ns[self._open[-1]] += now_ns - self._since_ns
        self._since_ns = now_ns


@contextmanager
def watched(clock: Clock, phases: Mapping[str, Sequence[str]] = PHASES) -> Iterator[None]:
    """Time the functions of ``phases`` while the context is active. A LookupError names those that no longer exist."""
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
