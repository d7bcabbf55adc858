"""The records of an hour stand in the order of the tenants' ids, also if new tenants come between known ones."""

import json

import msgspec
import numpy as np
import pytest

from monitor.partition.checkpoint import DecidingSettings
from monitor.partition.record_batch import RecordBatch
from monitor.partition.task import StreamTask
from monitor.policy.load import load
from schemas.measures import TenantHour

HOUR = 3_600_000
NOON = 1_772_452_800_000
HOURS = (("m", "z"), ("a", "m", "q"), ("b", "z"), ())


def call(tenant: str, end_ms: int) -> bytes:
    record = {"type": "cdr", "call_id": f"{tenant}{end_ms}", "tenant_id": tenant, "direction": "outbound"}
    record |= {"outcome": "answered", "caller": "+8613800000000", "callee": "+8613900000000"}
    return json.dumps(record | {"end_ms": end_ms} | dict.fromkeys(("start_ms", "answer_ms"), end_ms - 3_000)).encode()


@pytest.mark.parametrize("few", [0, 200])
def test_new_tenants_stand_between_known_ones(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitor.core.measures.hourly_measures._FEW", few)
    task = StreamTask(load(None), live=DecidingSettings(max_ahead_ms=0), sources=1)
    task.write_measures()
    rows = [call(who, NOON + hour * HOUR) for hour, some in enumerate(HOURS) for who in some]
    rows.append(call("last", NOON + 9 * HOUR))
    found: list[tuple[str, int]] = []
    for start in range(len(rows)):  # an hour is written before the tenants of the next are known
        offsets = np.array([start])
        task.feed(0, RecordBatch(start, start + 1, offsets, np.full(1, NOON + 99 * HOUR), rows[start : start + 1]))
        task.advance()
        for hour in task.take().output.measures:
            for tenant, value in hour.rows():
                one = msgspec.json.decode(value, type=TenantHour)
                assert one.tenant_id.encode() == tenant
                found.append((one.tenant_id, (one.hour_ms - NOON) // HOUR))
    assert found == [(who, hour) for hour, some in enumerate(HOURS) for who in some]
