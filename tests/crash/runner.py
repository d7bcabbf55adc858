"""Makes a process fit for thousands of schedules: warnings are errors, logs go nowhere, little garbage collection."""

import gc
import warnings

import structlog

from crash.traffic import SCENARIOS, story


def prepare() -> None:
    """To be called once in a process."""
    warnings.simplefilter("error")
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_drop])
    for number in range(SCENARIOS):
        story(number)
    # What is there now stays, and a schedule leaves its garbage in one piece.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)


def _drop(logger: object, name: str, event: structlog.typing.EventDict) -> str:
    raise structlog.DropEvent
