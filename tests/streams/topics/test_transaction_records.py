"""No record that we write is rejected for its size: a large one is cut and marked; anything else is named."""

import hashlib
import json
import random

import pytest

from helpers.single_records import each_record
from monitor.byte_rows import ByteRows
from monitor.core.record_ref import RecordRef
from monitor.core.results import HourMeasures, Output
from monitor.decoding.merge import LateCall
from monitor.decoding.merge import RejectedRow as RefusedRow
from monitor.partition.processing.task_output import TaskOutput
from streams.kafka.api import TP, PermanentError
from streams.kafka.outputs import OutputRecord
from streams.kafka.topic_names import TopicNames
from streams.ops.dead_letters import DeadLetter
from streams.topics.control_topic import (
    MAX_POLICY_BYTES,
    MAX_TEXT,
    PolicyCommand,
    apply_command,
    decode_command,
    refused_command_entry,
)
from streams.topics.transaction_records import MAX_COPY_BYTES, MAX_KEY_BYTES, MAX_REASON, MAX_RECORD_BYTES, records

NAMES = TopicNames("callwarden.", "callwarden.")
NOISE = random.Random(1).randbytes(3 << 20)  # incompressible


def singles(taken: TaskOutput) -> list[OutputRecord]:
    return list(each_record(records(NAMES, 3, taken, [])))


def letters(*rejected: RefusedRow) -> list[OutputRecord]:
    return singles(TaskOutput(rejected=list(rejected)))


def size(out: OutputRecord) -> int:
    return len(out.key or b"") + len(out.value or b"") + sum(len(name) + len(value) for name, value in out.headers)


def test_a_letter_that_fits_is_the_record_as_it_came() -> None:
    value = NOISE[: MAX_COPY_BYTES - 1_000]
    [out] = letters(RefusedRow(RecordRef(0, 1, 17, 17), "too_long: ...", value, b"acme"))
    assert (out.key, out.value) == (b"acme", value)
    assert out.headers == (
        ("reason", b"too_long: ..."),
        ("topic", b"callwarden.complaints"),
        ("partition", b"3"),
        ("offset", b"17"),
    )


@pytest.mark.parametrize("key", [b"acme", None, NOISE[:2_000_000]])
def test_a_letter_beyond_what_a_broker_takes_is_its_head_with_hash_length_and_place(key: bytes | None) -> None:
    [out] = letters(RefusedRow(RecordRef(0, 0, 17, 17), "x" * 900_000, NOISE, key, first_offset=12))
    headers = dict(out.headers)
    assert size(out) <= MAX_COPY_BYTES
    assert out.value is not None
    assert len(out.value) > MAX_COPY_BYTES - MAX_KEY_BYTES - 30_000
    assert NOISE.startswith(out.value)
    assert (headers["length"], headers["sha256"]) == (b"3145728", hashlib.sha256(NOISE).hexdigest().encode())
    assert (headers["topic"], headers["partition"], headers["offset"]) == (b"callwarden.cdr", b"3", b"17")
    assert (headers["first_offset"], len(headers["reason"])) == (b"12", MAX_REASON)
    if key is not None and len(key) > MAX_KEY_BYTES:
        assert out.key == key[:MAX_KEY_BYTES]
        assert (headers["key_length"], headers["key_sha256"]) == (b"2000000", hashlib.sha256(key).hexdigest().encode())
    else:
        assert out.key == key


def test_a_late_call_beyond_what_a_broker_takes_is_its_head_too() -> None:
    small, large = NOISE[:500], NOISE
    taken = TaskOutput(
        late=[LateCall(RecordRef(0, 0, n, n), 5, "acme", "c", raw) for n, raw in enumerate((small, large))]
    )
    first, second = singles(taken)
    assert (first.value, first.headers) == (small, ())
    assert size(second) <= MAX_COPY_BYTES
    assert dict(second.headers)["length"] == b"3145728"
    assert dict(second.headers)["offset"] == b"1"


def test_what_cannot_be_cut_is_named_before_the_broker_is_asked() -> None:
    with pytest.raises(
        PermanentError, match=r"callwarden.state-3 under the key '\+•+01' has 1,000,012 bytes; expected"
    ):
        records(NAMES, 3, TaskOutput(), [("+8619000000001"[:12] + "01", b"x" * (1_000_012 - 14))])


def test_measures_that_no_broker_takes_are_named() -> None:
    def of_an_hour(*values: bytes) -> TaskOutput:
        ids = ByteRows.of([b"acme", b"some-tenant"][: len(values)])
        return TaskOutput(output=Output(measures=[HourMeasures(0, ids, ByteRows.of(values))]))

    most = MAX_RECORD_BYTES - len(b"some-tenant")
    topic = "callwarden.measures"
    assert singles(of_an_hour(b"{}", NOISE[:most])) == [
        OutputRecord(topic, 3, b"acme", b"{}"),
        OutputRecord(topic, 3, b"some-tenant", NOISE[:most]),
    ]
    with pytest.raises(PermanentError, match=r"callwarden.measures-3 under the key .* has 980,001 bytes; expected"):
        singles(of_an_hour(b"{}", NOISE[: most + 1]))


def test_a_policy_that_no_note_could_hold_is_refused() -> None:
    policy = {"rules": "x" * MAX_POLICY_BYTES}
    wrong = apply_command(PolicyCommand(policy, "sha", 1, "why"), None, NAMES, ())  # type: ignore[arg-type]  # not reached
    assert wrong is not None
    assert wrong.startswith("the policy has 900,012 bytes, resolved; expected at most 900,000")


def test_the_entry_of_a_refused_command_is_short() -> None:
    value = json.dumps({"type": "skip", "topic": "t", "offset": 1, "reason": "x" * (MAX_TEXT + 1)}).encode()
    assert decode_command(value) == "Expected `str` of length <= 4096 - at `$.reason`"
    assert len(refused_command_entry(7, "?", "x" * 900_000).why) == MAX_TEXT
    assert MAX_RECORD_BYTES < 1_000_000


def test_what_is_not_the_record_itself_says_where_that_is() -> None:
    def letter(length: int | None, first: int | None) -> str | None:
        return DeadLetter(3, 0, 0, b"k", b"head", "why", TP("callwarden.cdr", 3), 17, length, first).incomplete

    at = "While the topic keeps it, read it with kafka-console-consumer.sh --topic callwarden.cdr --partition 3 "
    assert letter(None, None) is None
    assert letter(90, None) == f"it is the beginning of the record, 4 of 90 bytes. {at}--offset 17 --max-messages 1"
    whole = "it is a record batch that could not be split"
    assert letter(None, 12) == f"{whole}. {at}--offset 12 --max-messages 6"
