"""Simulated records at other times: shifted as a whole, or calls made into templates that can be sent repeatedly."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

_TIME = re.compile(rb'(_ms":)(\d{13})')
_EVENT = re.compile(rb'"(?:end|updated)_ms":(\d{13})')
_ID = b'"call_id":"'


class Head(msgspec.Struct):
    """The fields of a record that determine its topic and time."""

    type: str
    tenant_id: str


head_of = msgspec.json.Decoder(Head).decode


def event_ms(line: bytes) -> int:
    """The record's event time. Raises LookupError if it has none."""
    found = _EVENT.search(line)
    if found is None:
        raise LookupError("a record without an event time")
    return int(found[1])


def moved(line: bytes, by_ms: int) -> bytes:
    """The record with all its times shifted by that much."""
    return _TIME.sub(lambda found: b"%s%d" % (found[1], int(found[2]) + by_ms), line)


def squeezed(lines: list[bytes], squeeze: int) -> list[bytes]:
    """The records compressed in time by that factor, with the same end.

    Reviews are left out: they name decisions by ids that depend on the times, so no worker would know them.
    """
    if squeeze == 1:
        return lines
    last_ms = max(map(event_ms, lines))
    kept = [line for line in lines if head_of(line).type != "review"]
    return [moved(line, (last_ms - event_ms(line)) * (squeeze - 1) // squeeze) for line in kept]


class Template(NamedTuple):
    """A call that can be repeated, with its own id and at another time."""

    tenant: bytes
    text: bytes
    behind_ms: tuple[int, ...]

    def at(self, number: int, end_ms: int) -> bytes:
        """The call as if it had ended at that time; each ``number`` gives it another id."""
        return self.text % (number, *[end_ms - behind for behind in self.behind_ms])


def template(line: bytes) -> Template:
    """The call in ``line`` as a template."""
    end_ms = event_ms(line)
    behind_ms = tuple(end_ms - int(time[1]) for time in _TIME.findall(line))
    text = _TIME.sub(rb"\1%d", line.replace(b"%", b"%%")).replace(_ID, _ID + b"%d-", 1)
    return Template(head_of(line).tenant_id.encode(), text, behind_ms)


def templates(path: str, most: int) -> list[Template]:
    """At most ``most`` of the calls in the file, spread evenly over it."""
    with Path(path).open("rb") as stream:
        every = max(sum(1 for _ in stream) // most, 1)
    return [template(line) for line in itertools.islice(_calls(path), 0, None, every)][:most]


def _calls(path: str) -> Iterator[bytes]:
    with Path(path).open("rb") as stream:
        for line in stream:
            if line.startswith(b'{"type":"cdr"'):
                yield line.rstrip(b"\n")
