"""Intake: lines become records with their sources' clocks, read in one order, against a naive reader of lists."""

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from helpers.thorough import examples
from monitor.adapters.base import InputRow
from monitor.core.calls.fields import FieldLayout
from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows
from monitor.decoding.late_line import LateLine
from monitor.decoding.merge import MergedRows, merge
from monitor.decoding.source import NO_CLOCK_MS, PlacedRows, Source
from schemas import codec
from schemas.inputs import Cdr, Complaint, Record

T0 = 1_772_409_600_000
LAYOUT = FieldLayout((6_000,), ("Asia/Shanghai",))
DECODER = Decoder(LAYOUT, np.uint64(0))
LATENESS = 50
LATE = LateLine(LATENESS)
tries = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def call(name: str, end_ms: int, tenant: str = "acme", **changes: Any) -> bytes:
    fields = {"direction": "outbound", "caller": "1", "callee": "2", "outcome": "busy", "start_ms": end_ms}
    return codec.encode(Cdr(**{"call_id": name, "tenant_id": tenant, "end_ms": end_ms, **fields, **changes}))


def complaint(name: str, updated_ms: int, tenant: str = "acme") -> bytes:
    return codec.encode(Complaint(name, tenant, "other", "received", reported_ms=T0, updated_ms=updated_ms))


BAD = (b"{}", b"null", b"nonsense", b'{"type":"cdr"', b"\xff", b"0")
BLANK = (b"", b"  ", b"\t\r")


def some_lines(rng: random.Random, source: int, count: int) -> list[bytes]:
    """A source's lines: calls and complaints near its clock or far behind it, bad lines, blank ones."""
    lines, clock = [], T0 + rng.choice((0, 10, 500))
    for serial in range(count):
        clock += rng.choice((0, 0, 1, 20, 70))
        at_ms = clock - rng.choice((0, 0, 0, 1, LATENESS, LATENESS + 1, 3 * LATENESS))
        name, tenant = f"s{source}-{serial}", rng.choice(("acme", "bravo"))
        odd = rng.random()
        if odd < 0.1:
            lines.append(rng.choice(BAD))
        elif odd < 0.15:
            lines.append(rng.choice(BLANK))
        elif odd < 0.2:
            lines.append(call(name, at_ms, tenant, start_ms=at_ms + 1))
        elif odd < 0.4:
            lines.append(complaint(name, at_ms, tenant))
        else:
            lines.append(call(name, at_ms, tenant))
    return lines


@dataclass
class Naive:
    """A reader that goes line by line, always in the source whose clock is least."""

    order: list[tuple[int, int]] = field(default_factory=list)  # source and line number of each row
    calls: list[tuple[str, str, int, int]] = field(default_factory=list)  # id, tenant, source, late line
    waiting: list[tuple[str, int]] = field(default_factory=list)  # id, raised time
    late: list[str] = field(default_factory=list)
    rejected: list[tuple[int, int]] = field(default_factory=list)


def naive(files: list[list[bytes]], not_after_ms: int | None = None) -> Naive:
    out = Naive()
    at, clock = [0] * len(files), [NO_CLOCK_MS] * len(files)
    while reading := [n for n, lines in enumerate(files) if at[n] < len(lines)]:
        source = min(reading, key=lambda n: (clock[n], n))
        line = files[source][at[source]]
        at[source] += 1
        if not line.strip():
            continue
        out.order.append((source, at[source]))
        try:
            record: Record = codec.read(line)
        except codec.InvalidRecordError:
            out.rejected.append((source, at[source]))
            continue
        time = codec.event_time(record)
        if not_after_ms is not None and time > not_after_ms:
            out.rejected.append((source, at[source]))
            continue
        clock[source] = max(clock[source], time)
        line_ms = clock[source] - LATENESS
        if not isinstance(record, Cdr):
            out.waiting.append((codec.record_id(record), max(time, line_ms)))
        elif time < line_ms:
            out.late.append(record.call_id)
        else:
            out.calls.append((record.call_id, record.tenant_id, source, line_ms))
    return out


def placed(files: list[list[bytes]], decoder: Decoder = DECODER) -> list[PlacedRows]:
    return [Source(number).place(decoder.lines(lines, 1)) for number, lines in enumerate(files)]


def rows_of(batch: MergedRows) -> list[tuple[str, str, int, int]]:
    if batch.calls is None:
        return []
    calls = batch.calls
    names = [batch.names[tenant] for tenant in calls.tenant]
    return list(zip(calls.call_id.tolist(), names, calls.source.tolist(), calls.line_ms.tolist(), strict=True))


def check(batches: list[MergedRows], expected: Naive) -> None:
    """The batches together hold what the naive reader read, in its order."""
    assert sum(batch.rows for batch in batches) == len(expected.order)
    assert [row for batch in batches for row in rows_of(batch)] == expected.calls
    waiting = [one for batch in batches for one in sorted(batch.waiting, key=lambda w: w.ref)]
    assert [(one.id, one.at_ms) for one in waiting] == expected.waiting
    late = [one for batch in batches for one in sorted(batch.late, key=lambda c: c.ref)]
    assert [one.call_id for one in late] == expected.late
    rejected = [one for batch in batches for one in sorted(batch.rejected, key=lambda r: r.ref)]
    assert [(one.ref.source, one.ref.line) for one in rejected] == expected.rejected


@examples(st.integers(0, 2**32), st.integers(1, 4), st.integers(0, 25), fast=37, most=150)
def test_rows_are_read_in_the_order_of_a_greedy_reader(seed: int, sources: int, count: int) -> None:
    """Always in the source whose clock is least, for equal clocks in the first; whole sources at once."""
    rng = random.Random(seed)
    files = [some_lines(rng, source, rng.randint(0, count)) for source in range(sources)]
    pieces = placed(files)
    check([merge([(piece, 0, len(piece)) for piece in pieces], LATE)], naive(files))


@examples(st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 25), st.integers(1, 5), fast=37, most=150)
def test_batches_cut_anywhere_hold_the_same_rows(seed: int, sources: int, count: int, cuts: int) -> None:
    """The reading order is cut at random: each batch holds some rows of each piece, from where the
    previous one ended.
    """
    rng = random.Random(seed)
    files = [some_lines(rng, source, count) for source in range(sources)]
    expected, pieces = naive(files), placed(files)
    ends = [*sorted(rng.randint(0, len(expected.order)) for _ in range(cuts)), len(expected.order)]
    batches, at = [], [0] * sources
    for start, stop in zip([0, *ends], ends, strict=False):
        taken = [source for source, _ in expected.order[start:stop]]
        ready = [(piece, at[n], at[n] + taken.count(n)) for n, piece in enumerate(pieces) if n in taken]
        at = [place + taken.count(n) for n, place in enumerate(at)]
        batches.append(merge(ready, LATE))
    check(batches, expected)


@examples(st.integers(0, 2**32), st.integers(1, 40), st.lists(st.integers(0, 40), max_size=4), fast=37, most=150)
def test_a_source_in_pieces_has_the_clocks_and_offsets_of_the_whole(seed: int, count: int, cuts: list[int]) -> None:
    rng = random.Random(seed)
    lines = some_lines(rng, 0, count)
    (whole,) = placed([lines])
    source, places = Source(0), sorted(min(cut, count) for cut in cuts)
    parts = [
        source.place(DECODER.lines(lines[start:stop], start + 1))
        for start, stop in zip([0, *places], [*places, count], strict=True)
    ]
    for name in ("before_ms", "after_ms", "offset"):
        assert np.concatenate([getattr(part, name) for part in parts]).tolist() == getattr(whole, name).tolist()
    assert np.concatenate([part.decoded.line for part in parts]).tolist() == whole.decoded.line.tolist()
    assert whole.offset.tolist() == list(range(len(whole)))
    assert (source.clock_ms, source.offset) == (max([NO_CLOCK_MS, *whole.after_ms.tolist()]), len(whole))
    check([merge([(part, 0, len(part))], LATE) for part in parts], naive([lines]))


@examples(st.integers(0, 2**32), st.integers(1, 30), fast=37, most=150)
def test_decoding_together_is_decoding_one_by_one(seed: int, count: int) -> None:
    """A hostile line costs its neighbours nothing, and rows keep their own bytes and numbers."""
    rng = random.Random(seed)
    lines = some_lines(rng, 0, count)
    together = DECODER.lines(lines, 7)
    kept = [n for n, line in enumerate(lines) if line.strip()]
    assert list(together.raw) == [lines[n] for n in kept]
    assert together.line.tolist() == [7 + n for n in kept]
    alone = [DECODER.lines([lines[n]], 7 + n) for n in kept]
    assert together.event_ms.tolist() == [int(one.event_ms[0]) for one in alone]
    assert together.rejected == [(row, reason) for row, one in enumerate(alone) for _, reason in one.rejected]
    assert together.others == [(row, record) for row, one in enumerate(alone) for _, record in one.others]
    ids = [] if together.calls is None else together.calls.call_id.tolist()
    assert ids == [name for one in alone if one.calls is not None for name in one.calls.call_id.tolist()]


def test_more_lines_than_are_decoded_at_once_keep_their_places() -> None:
    """Invalid and blank lines on both sides of each multiple of a thousand."""
    lines = [call(f"c{n}", T0 + n) for n in range(3_000)]
    for place in (0, 1_022, 1_023, 1_024, 1_025, 2_047, 2_048, 2_999):
        lines[place] = b"nonsense" if place % 2 else b" "
    decoded = DECODER.lines(lines, 1)
    expected = [n for n, line in enumerate(lines) if line.startswith(b"{")]
    assert decoded.calls is not None
    assert decoded.calls.call_id.tolist() == [f"c{n}" for n in expected]
    assert decoded.line[decoded.call_rows].tolist() == [n + 1 for n in expected]
    bad = [n for n, line in enumerate(lines) if line == b"nonsense"]
    assert [int(decoded.line[row]) - 1 for row, _ in decoded.rejected] == bad


@examples(st.integers(0, 2**32), st.integers(-100, 600), fast=37, most=150)
def test_records_too_far_ahead_advance_no_clock_and_make_no_record_late(seed: int, ahead: int) -> None:
    rng = random.Random(seed)
    files = [some_lines(rng, source, 15) for source in range(2)]
    decoder = Decoder(LAYOUT, np.uint64(0), T0 + ahead)
    pieces = placed(files, decoder)
    check([merge([(piece, 0, len(piece)) for piece in pieces], LATE)], naive(files, T0 + ahead))
    reasons = [reason for piece in pieces for _, reason in piece.decoded.rejected]
    assert all(piece.after_ms.max(initial=0) <= T0 + ahead for piece in pieces)
    assert all(reason.split(":")[0].isidentifier() for reason in reasons)


def test_the_last_moment_that_is_not_too_far_ahead_is_taken() -> None:
    decoder = Decoder(LAYOUT, np.uint64(0), T0)
    decoded = decoder.lines([call("at", T0), call("beyond", T0 + 1), complaint("p", T0 + 1)], 1)
    assert decoded.event_ms.tolist() == [T0, -1, -1]
    assert [reason.split(":")[0] for _, reason in decoded.rejected] == ["future_event", "future_event"]
    assert (len(decoded.others), len(decoded.call_rows)) == (0, 1)


@pytest.mark.parametrize(("behind", "late"), [(0, False), (LATENESS, False), (LATENESS + 1, True)])
def test_late_is_below_the_clock_less_lateness_and_others_are_raised_to_that_line(behind: int, late: bool) -> None:
    lines = [call("first", T0), call("second", T0 - behind), complaint("p", T0 - behind)]
    batch = merge([(piece, 0, len(piece)) for piece in placed([lines])], LATE)
    assert [one.call_id for one in batch.late] == (["second"] if late else [])
    assert [one.at_ms for one in batch.waiting] == [T0 - min(behind, LATENESS)]
    assert [one.raw for one in batch.late] == (lines[1:2] if late else [])
    assert batch.waiting[0].raw == lines[2]


def test_a_record_that_moves_the_clock_itself_is_not_late_by_it_and_a_late_one_does_not_move_it() -> None:
    lines = [call("a", T0 - 3 * LATENESS), call("b", T0), call("c", T0 - 2 * LATENESS), call("d", T0 - LATENESS)]
    (piece,) = placed([lines])
    assert piece.after_ms.tolist() == [T0 - 3 * LATENESS, T0, T0, T0]
    assert piece.before_ms.tolist() == [NO_CLOCK_MS, T0 - 3 * LATENESS, T0, T0]
    assert [one.call_id for one in merge([(piece, 0, 4)], LATE).late] == ["c"]


def test_a_source_continues_from_a_clock_and_an_offset() -> None:
    source = Source(3, T0, 40)
    piece = source.place(DECODER.lines([call("a", T0 - 1), call("b", T0 + 5)], 41))
    assert (piece.source, piece.before_ms.tolist(), piece.offset.tolist()) == (3, [T0, T0], [40, 41])
    assert (source.clock_ms, source.offset) == (T0 + 5, 42)


def test_rows_of_an_adapter_come_with_their_own_line_numbers_and_bytes() -> None:
    good, other = codec.read(call("a", T0)), codec.read(complaint("p", T0))
    impossible = Cdr("b", "acme", "outbound", "1", "2", T0 + 1, T0, "busy")
    rows = [
        InputRow(5, b"five", good, None),
        InputRow(3, b"three", None, "bad_row: why"),
        InputRow(9, b"nine", other, None),
        InputRow(4, b"four", impossible, None),
    ]
    decoded = DECODER.rows(rows)
    assert decoded.line.tolist() == [5, 3, 9, 4]
    assert list(decoded.raw) == [b"five", b"three", b"nine", b"four"]
    assert decoded.event_ms.tolist() == [T0, -1, T0, -1]
    assert [(row, reason.split(":")[0]) for row, reason in decoded.rejected] == [
        (1, "bad_row"),
        (3, "impossible_times"),
    ]
    assert [(row, record) for row, record in decoded.others] == [(2, other)]


def test_nothing_gives_nothing() -> None:
    for lines in ([], [b"", b"  "]):
        decoded: DecodedRows = DECODER.lines(lines, 1)
        piece = Source(0).place(decoded)
        assert len(piece) == 0
        assert merge([(piece, 0, 0)], LATE).rows == 0
