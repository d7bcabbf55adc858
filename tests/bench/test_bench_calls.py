"""Records at other times stay valid: only their times and ids change."""

import json
from pathlib import Path

import pytest

from bench.broker_topics import call, complaint, last_records, one_a_partition
from bench.calls import event_ms, moved, squeezed, template, templates
from monitor.decoding.input_topics import INPUTS
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from monitor.replay.run import replay
from monitor.simulate.arrivals import TOPIC_OF
from monitor.simulate.run import simulate
from monitor.simulate.settings import SimulationSettings
from schemas import codec

AT_MS = 1_790_000_000_000
LINE = call("50%-off", "c1", AT_MS, start_ms=AT_MS - 9_000, answer_ms=AT_MS - 4_000)


def test_moving_a_record_moves_all_its_times_and_nothing_else() -> None:
    record = json.loads(LINE)
    later = {name: record[name] + 60_000 for name in ("start_ms", "answer_ms", "end_ms")}
    assert json.loads(moved(LINE, 60_000)) == record | later
    assert moved(LINE, 0) == LINE


def test_the_event_time_of_a_call_is_its_end_and_of_other_records_their_last_change() -> None:
    assert event_ms(LINE) == AT_MS
    assert event_ms(complaint("t", "c", AT_MS, "other", "received")) == AT_MS
    with pytest.raises(LookupError, match="without an event time"):
        event_ms(b'{"type":"cdr"}')


def test_compressed_records_end_at_the_same_time_and_none_is_rejected(tmp_path: Path) -> None:
    simulate(SimulationSettings(120, 1, 3, calls_per_day=20_000), tmp_path)
    lines = (tmp_path / "records.jsonl").read_bytes().splitlines()
    assert any(b'"type":"review"' in line for line in lines)
    assert squeezed(lines, 1) == lines
    denser = squeezed(lines, 12)
    span, before = ([min(times), max(times)] for times in (list(map(event_ms, some)) for some in (denser, lines)))
    assert span[1] == before[1]
    assert (span[1] - span[0]) * 12 == pytest.approx(before[1] - before[0], rel=0.01)
    dense = tmp_path / "dense.jsonl"
    dense.write_bytes(b"\n".join(denser) + b"\n")
    judged = replay([str(dense)], load(None))
    assert judged.enforcement
    assert judged.rejected == []


def test_a_repeated_call_has_another_id_and_another_time() -> None:
    prepared = template(LINE)
    record = json.loads(LINE)
    made = [json.loads(prepared.at(number, AT_MS + 1_000)) for number in (0, 1)]
    later = {name: record[name] + 1_000 for name in ("start_ms", "answer_ms", "end_ms")}
    assert prepared.tenant == b"50%-off"
    assert len({record["call_id"], *(one["call_id"] for one in made)}) == 3
    for one in made:
        assert one | {"call_id": "c1"} == record | later


def test_templates_are_calls_spread_over_the_file(tmp_path: Path) -> None:
    lines = [call(f"t{number}", f"c{number}", AT_MS + number) for number in range(10)]
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\n".join([complaint("x", "c", AT_MS, "other", "received"), *lines]) + b"\n")
    assert [one.tenant for one in templates(str(path), 2)] == [b"t0", b"t5"]
    assert [one.tenant for one in templates(str(path), 100)] == [f"t{number}".encode() for number in range(10)]


def test_the_last_records_are_accepted_by_a_worker() -> None:
    records = last_records("t", "end", AT_MS)
    for value in records:
        codec.decode(value)
    kinds = [json.loads(value)["type"] for value in records]
    assert [TOPIC_OF[kind] for kind in kinds] == list(range(len(INPUTS)))


def test_each_partition_has_a_tenant() -> None:
    homes = [partition_of(tenant.encode(), 8, "murmur2") for tenant in one_a_partition(8)]
    assert homes == list(range(8))
