"""Versions of calls: the greatest one that arrives in time counts, in any order, batches and restarts."""

import itertools
import random
from typing import NamedTuple

import pytest
from call_events import HOUR, MINUTE, SECOND, START, StoredLog, codes, records, written

from monitor.adapters.assembly.assembler import AssemblyLimits
from monitor.adapters.assembly.call_program import AssembledCall
from monitor.adapters.assembly.version_assembler import REMEMBERED_MS, VersionAssembler
from monitor.adapters.assembly.version_event import VersionEvent
from schemas.inputs import Cdr

SETTLE = 10 * MINUTE


class Version(NamedTuple):
    """A version in the log, and its Kafka timestamp."""

    event: VersionEvent
    timestamp_ms: int


def version(number: int, ms: int, call: str = "c-1", tenant: str = "acme", mark: str = "", **more: int) -> Version:
    """A version that is made that many ms after START, and logged then; ``mark`` distinguishes it from others."""
    record = Cdr(
        call_id=call,
        tenant_id=tenant,
        direction="outbound",
        caller="+15550001111",
        callee="+15557654321",
        start_ms=START,
        end_ms=START,
        outcome="busy",
        agent_id=mark or f"v{number}",
    )
    return Version(VersionEvent((call, tenant), number, START + ms, record), START + more.get("logged_ms", ms))


class Log(StoredLog[VersionAssembler]):
    """A log of versions, as a process reads it."""

    def __init__(self, limits: AssemblyLimits | None = None, settle_ms: int = SETTLE) -> None:
        self.limits, self.settle_ms = limits, settle_ms
        super().__init__(VersionAssembler(settle_ms, limits))

    def feed(self, *versions: Version) -> list[AssembledCall]:
        found: list[AssembledCall] = []
        for each in versions:
            found += self.assembler.feed(each.event, self._offset, each.timestamp_ms)
            self._offset += 1
        self.results += found
        return found

    def restart(self, settle_ms: int | None = None) -> None:
        self.settle_ms = self.settle_ms if settle_ms is None else settle_ms
        self.continue_with(VersionAssembler(self.settle_ms, self.limits))


def marks(results: list[AssembledCall]) -> list[str | None]:
    return [found.agent_id for found in records(results)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_greatest_version_counts_in_every_order(order: tuple[int, ...]) -> None:
    log = Log()
    log.feed(*(version(n, place * SECOND) for place, n in enumerate(order)))
    assert records(log.results) == []
    assert codes(log.results) == ["superseded"] * 3
    assert marks(log.assembler.advance(START + SETTLE - 1)) == []
    assert marks(log.assembler.advance(START + SETTLE)) == ["v3"]
    assert log.assembler.counts == {"records": 1, "superseded": 3}
    assert len(log.assembler) == 0


def test_of_equal_versions_the_first_counts() -> None:
    log = Log()
    log.feed(version(1, 0, mark="first"), version(1, 1, mark="second"), version(1, 2, mark="first"))
    assert marks(log.finish()) == ["first"]


def test_a_call_is_held_from_its_first_version() -> None:
    log = Log()
    log.feed(version(0, 0), version(1, SETTLE - 1))
    assert marks(log.feed(version(0, SETTLE, "other"))) == ["v1"]


def test_the_version_that_ends_the_hold_is_late() -> None:
    log = Log()
    found = log.feed(version(0, 0), version(1, SETTLE))
    assert (marks(found), codes(found)) == (["v0"], ["", "superseded_late"])


def test_a_version_that_comes_late_has_its_record() -> None:
    log = Log()
    log.feed(version(0, 0))
    log.assembler.advance(START + SETTLE)
    (late,) = log.feed(version(5, SETTLE + HOUR))
    assert (late.record, late.refs, late.cells) == (None, (1,), [])
    assert late.reason == "superseded_late: the record of the call was written before this version came"
    assert isinstance(late.late, Cdr)
    assert late.late.agent_id == "v5"
    assert log.assembler.counts == {"records": 1, "superseded_late": 1}


def test_a_version_of_a_call_that_is_forgotten_is_held_like_a_first_one() -> None:
    log = Log()
    log.feed(version(0, 0), version(0, SETTLE, "other"))
    written_ms = SETTLE
    for hours in range(24):
        log.assembler.tick(START + written_ms + hours * HOUR)
    assert codes(log.assembler.end_due()) == [""]  # the other's record
    assert codes(log.feed(version(1, written_ms + REMEMBERED_MS - 1))) == ["superseded_late"]
    assert codes(log.feed(version(2, written_ms + REMEMBERED_MS))) == []
    assert marks(log.finish()) == ["v2"]


def test_a_version_moves_the_clock_at_most_to_its_timestamp() -> None:
    log = Log()
    log.feed(version(0, 5 * MINUTE, logged_ms=0))
    assert log.assembler.clock_ms == START
    assert codes(log.feed(version(1, 5 * MINUTE + 1, logged_ms=0))) == ["future_event"]
    assert marks(log.assembler.advance(START + SETTLE)) == ["v0"]


def test_two_tenants_that_choose_the_same_ids_have_two_calls() -> None:
    log = Log()
    log.feed(version(2, 0), version(1, 1, tenant="other"))
    assert [(found.tenant_id, found.agent_id) for found in records(log.finish())] == [("acme", "v2"), ("other", "v1")]


def test_without_a_time_to_settle_every_first_version_is_written_at_once() -> None:
    log = Log(settle_ms=0)
    assert codes(log.feed(version(0, 0), version(1, 1), version(1, 2, "other"))) == ["", "superseded_late", ""]


def test_held_calls_are_written_when_settle_is_removed() -> None:
    log = Log()
    log.feed(version(0, 0))
    log.restart(settle_ms=0)
    assert marks(log.assembler.advance(START)) == ["v0"]


def test_too_many_calls_cost_their_tenant_alone_and_are_written_early() -> None:
    log = Log(AssemblyLimits(open_calls_per_tenant=100))
    log.feed(version(0, 0, "honest", "honest"))
    for n in range(1_000):
        log.feed(version(0, n, f"c-{n}", "bad"))
    assert len(log.assembler) == 101
    assert log.assembler.counts == {"records": 900, "written_early": 900}
    assert len(log.assembler._written) == 100
    log.feed(version(1, 1_001, "honest", "honest"))
    assert [found.agent_id for found in records(log.finish()) if found.tenant_id == "honest"] == ["v1"]


def test_tenants_without_number_do_not_fill_the_memory() -> None:
    log = Log(AssemblyLimits(open_calls=50))
    for n in range(200):
        log.feed(version(0, n, tenant=f"tenant-{n}"))
    assert len(log.assembler) == len(log.assembler._written) == 50
    assert len(log.assembler._held._tenants) == len(log.assembler._written._tenants) == 50
    assert log.assembler.counts["written_early"] == 150
    log.store()
    assert len(log.state) == 101


def test_large_records_are_bounded_by_their_characters() -> None:
    log = Log(AssemblyLimits(open_calls_per_tenant=10))
    large = version(0, 0).event
    for n in range(20):
        record = Cdr(**{name: getattr(large.record, name) for name in Cdr.__struct_fields__} | {"source": "x" * 4_000})
        log.feed(Version(large._replace(key=(f"c-{n}", "bad"), record=record), START))
    assert len(log.assembler) == 4
    # A version that grows its own call beyond the limit causes that call to be written, if it is the oldest.
    small = Log(AssemblyLimits(open_calls_per_tenant=2))
    small.feed(version(0, 0), version(0, 0, "c-2"))
    grown = large._replace(version=1, record=record)
    assert codes(small.feed(Version(grown, START))) == ["superseded", ""]
    assert len(small.assembler) == 1


def oracle(log: list[Version], settle_ms: int) -> dict[int, str]:
    """The result of each version, by scanning everything before it."""
    outcomes: dict[int, str] = {}
    clocks: list[int] = []
    for each in log:
        at_ms = each.event.at_ms
        before_ms = clocks[-1] if clocks else 0
        clocks.append(
            before_ms if at_ms > each.timestamp_ms + 300_000 else max(before_ms, min(at_ms, each.timestamp_ms))
        )
    for key in {each.event.key for each in log}:
        mine = [n for n, each in enumerate(log) if each.event.key == key]
        while mine:
            first = mine.pop(0)
            if log[first].event.at_ms > log[first].timestamp_ms + 300_000:
                outcomes[first] = "future_event"
                continue
            due_ms = clocks[first] + settle_ms
            written_ms = next((clock for clock in clocks[first:] if clock >= due_ms), None)
            valid = [n for n in mine if log[n].event.at_ms <= log[n].timestamp_ms + 300_000]
            in_time = [first, *(n for n in valid if clocks[n] < due_ms)]
            best = max(in_time, key=lambda n: (log[n].event.version, -n))
            outcomes |= dict.fromkeys(in_time, "superseded") | {best: ""}
            late = [n for n in valid if written_ms is not None and due_ms <= clocks[n] < written_ms + REMEMBERED_MS]
            outcomes |= dict.fromkeys(late, "superseded_late")
            mine = [n for n in mine if n not in outcomes]
    return outcomes


def random_log(chance: random.Random) -> list[Version]:
    """Versions of few calls over two days: repeated, out of order, ahead of their timestamps and far behind."""
    found = []
    for n in range(chance.randrange(5, 80)):
        ms = chance.choice([chance.randrange(30 * MINUTE), chance.randrange(50 * HOUR)])
        ahead_ms = chance.choice([0, 0, 0, 1, 6 * MINUTE, -HOUR])
        call, tenant = f"c-{chance.randrange(6)}", chance.choice("ab")
        found.append(version(chance.randrange(4), ms, call, tenant, mark=f"m{n}", logged_ms=ms - ahead_ms))
    return sorted(found, key=lambda each: each.timestamp_ms + chance.randrange(2 * MINUTE))


@pytest.mark.parametrize("seed", range(150))
def test_the_results_are_those_of_a_plain_oracle(seed: int) -> None:
    chance = random.Random(seed)
    settle_ms = chance.choice([0, 1, MINUTE, SETTLE, 24 * HOUR])
    # A version of other calls every half hour: no timestamp jumps.
    others = [version(0, n * 30 * MINUTE, f"o-{n}") for n in range(-4, 102)]
    log = sorted(random_log(chance) + others, key=lambda each: each.timestamp_ms)
    found = Log(settle_ms=settle_ms)
    found.feed(*log)
    found.finish()
    # Each version is in exactly one result.
    assert sorted(ref for each in found.results for ref in each.refs) == list(range(len(log)))
    assert dict(zip((each.refs[0] for each in found.results), codes(found.results), strict=True)) == oracle(
        log, settle_ms
    )
    assert all(
        (each.late is not None) == (code == "superseded_late")
        for each, code in zip(found.results, codes(found.results), strict=True)
    )


@pytest.mark.parametrize("seed", range(25))
def test_the_log_gives_the_same_bytes_in_any_batches_and_across_restarts(seed: int) -> None:
    chance = random.Random(seed)
    log = random_log(chance) + random_log(chance)
    limits = AssemblyLimits(open_calls=6, open_calls_per_tenant=4)
    whole, broken = Log(limits), Log(limits)
    whole.feed(*log)
    whole.store()
    for each in log:
        broken.feed(each)
        if chance.random() < 0.7:
            broken.restart()
    broken.store()
    assert written(broken.results) == written(whole.results)
    assert broken.state == whole.state
    assert written(broken.finish()) == written(whole.finish())
    assert {"", "superseded", "superseded_late"} <= set(codes(whole.results))


def test_a_tick_moves_the_clock_by_the_smallest_delay_so_far() -> None:
    log = Log()
    log.assembler.tick(START)
    assert log.assembler.clock_ms == 0  # no record with a delay has arrived
    log.feed(version(0, 0, logged_ms=HOUR), version(1, 0, logged_ms=HOUR + MINUTE))
    log.restart()
    log.assembler.tick(START + HOUR + SETTLE - 1)
    assert (log.assembler.due, log.assembler.next_due_ms) == (False, START + SETTLE)
    log.assembler.tick(START + HOUR + SETTLE)
    assert log.assembler.due
    assert marks(log.assembler.end_due()) == ["v1"]
    assert (log.assembler.due, log.assembler.next_due_ms) == (False, None)


@pytest.mark.parametrize("restarts", [False, True])
def test_the_first_call_after_days_is_held_as_long_as_others(restarts: bool) -> None:
    log, days = Log(), 72 * HOUR
    log.feed(version(0, 0), version(0, SETTLE, "c-2"))
    log.feed(version(0, days, "c-3"))
    for ms in (5 * SECOND, SETTLE - 1):
        if restarts:
            log.restart()
        log.assembler.tick(START + days + ms)
        log.results += log.assembler.end_due()
    assert marks(log.results) == ["v0", "v0"]
    log.feed(version(1, days + SETTLE - 1, "c-3"))
    log.assembler.tick(START + days + SETTLE)
    assert marks(log.assembler.end_due()) == ["v1"]


def test_one_tick_from_the_future_writes_nothing_and_holds_nothing_up() -> None:
    log = Log()
    log.feed(version(0, 0))
    log.assembler.tick(4_039_000_000_000)  # in 2097
    assert log.assembler.end_due() == []
    log.feed(version(1, MINUTE, "c-2"))
    log.assembler.tick(START + MINUTE + SETTLE)
    assert marks(log.assembler.end_due()) == ["v0", "v1"]


@pytest.mark.parametrize("seed", range(15))
def test_calls_are_written_in_parts(seed: int) -> None:
    chance = random.Random(seed)
    log = random_log(chance) + random_log(chance)
    limits = AssemblyLimits(open_calls=9, open_calls_per_tenant=5)
    whole, parts = Log(limits), Log(limits)
    whole.feed(*log)
    whole.store()
    for n, each in enumerate(log):
        parts.results += parts.assembler.accept(each.event, n, each.timestamp_ms)
        while parts.assembler.due:
            found = parts.assembler.end_due(most := chance.randrange(1, 4))
            assert len(found) <= most
            parts.results += found
            if chance.random() < 0.5:
                parts.restart()
    parts.store()
    assert written(parts.results) == written(whole.results)
    assert parts.state == whole.state


def test_the_size_of_the_changes_is_known_before() -> None:
    log = Log()
    log.feed(*(version(0, 0, f"c-{n}") for n in range(100)))
    output = log.assembler.touched_chars
    size = sum(len(key) + len(value or b"") for key, value in log.assembler.changes())
    assert size / 2 < output < size
    assert log.assembler.touched_chars == 0


def test_unchanged_state_is_not_written_again() -> None:
    log = Log()
    log.feed(version(0, 0), version(0, 0, "c-2"))
    log.store()
    log.feed(version(0, 0))
    assert log.assembler.changes() == []
    log.feed(version(1, 0))
    assert [key for key, _ in log.assembler.changes()] == [b'["c-1","acme"]']


def test_a_stored_entry_that_cannot_be_read_is_rejected() -> None:
    with pytest.raises(ValueError, match="Invalid value"):
        Log().assembler.restore([(b'["c-1","acme"]', b'["open",1,2]')])
