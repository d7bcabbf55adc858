"""Log lines, ours and those of libraries, as text or JSON, without values of variables and quotes of records."""

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final

import structlog

from monitor.text.masking import MaskIds, mask_id, mask_text, visible_lines


def set_up_logs(log_format: str = "auto", log_level: str = "info", mask_ids: MaskIds = "telephone_numbers") -> None:
    """Log to standard error as ``text`` or ``json`` (``auto``: text at a terminal), errors of libraries alike.

    ``log_level`` applies to our own lines. With ``mask_ids`` ``all_digits`` no value shows seven digits in a row.
    Tracebacks show neither values of variables nor messages of errors that may quote a record.
    """
    stream = sys.stderr
    render: Any = structlog.processors.JSONRenderer()
    if log_format == "text" or (log_format == "auto" and sys.stderr.isatty()):
        render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        # Our colours bypass the proxy that makes control characters visible; `_show` has done that already.
        stream = getattr(stream, "rich_proxied_file", stream)
    processors = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(_masked_traceback),
        partial(_show, mask_ids=mask_ids),
        render,
    ]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(log_level),
        logger_factory=lambda *_: _Lines(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, _mask_event],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors],
        )
    )
    # Libraries log every lost connection in many lines, the worker in one. Their lines below errors quote records.
    logging.basicConfig(level=logging.ERROR, handlers=[handler])
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _show(_: Any, __: str, event: Any, mask_ids: MaskIds) -> Any:
    """Make control characters visible, so that no text acts on a terminal, and mask ids if all are masked."""
    mask = partial(mask_id, mask_ids=mask_ids) if mask_ids == "all_digits" else str
    return {key: visible_lines(mask(value)) if isinstance(value, str) else value for key, value in event.items()}


class _Lines(structlog.PrintLogger):
    """Drops a line that cannot be written because the disk is full or the reader has gone."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


WITHHELD: Final = "(not shown: it may quote a record)"
# The messages of these errors concern code or the system, not data.
_SPEAKABLE = (
    AttributeError,
    ImportError,
    MemoryError,
    NameError,
    OSError,
    RecursionError,
    TypeError,
    ZeroDivisionError,
)
# Errors of these packages contain nothing of records but numbers, or concern the connection to a broker.
_SPEAKERS = ("aiokafka", "monitor", "schemas", "streams")


def _masked_traceback(exc_info: structlog.typing.ExcInfo) -> str:
    shown = "".join(traceback.format_exception(*exc_info)).rstrip()
    unspeakable = [error for error in _all(exc_info[1], set()) if not _may_be_shown(error)]
    said = [(f": {error}", f": {WITHHELD}") for error in unspeakable if str(error)]
    said += [(note, WITHHELD) for error in unspeakable for note in getattr(error, "__notes__", ())]
    return mask_text(_without(shown, said))


def _without(text: str, said: list[tuple[str, str]]) -> str:
    for what, instead in sorted(said, key=lambda one: -len(one[0])):  # one may quote another
        text = text.replace(what, instead)
    return text


def _may_be_shown(error: BaseException) -> bool:
    return isinstance(error, _SPEAKABLE) or type(error).__module__.partition(".")[0] in _SPEAKERS


def _all(error: BaseException | None, seen: set[int]) -> Iterator[BaseException]:
    """An error and all errors that caused it or are grouped in it; an error may quote another."""
    if error is None or id(error) in seen:
        return
    seen.add(id(error))
    yield error
    for other in (error.__cause__, error.__context__, *getattr(error, "exceptions", ())):
        yield from _all(other, seen)


def _mask_event(_: object, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Mask the errors that libraries quote in their own messages."""
    event, record = str(line["event"]), line.get("_record")
    error = record.exc_info[1] if record is not None and record.exc_info else None
    unspeakable = [one for one in _all(error, set()) if not _may_be_shown(one)]
    said = [(text, type(one).__name__) for one in unspeakable for text in (repr(one), str(one)) if text]
    return {**line, "event": mask_text(_without(event, said))}
