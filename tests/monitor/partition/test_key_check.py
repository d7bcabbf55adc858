"""A record is in the partition of its tenant, or is rejected with the correct one."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest

from monitor.byte_rows import ByteRows
from monitor.core.shard import Shard
from monitor.decoding import native
from monitor.decoding.decode import Decoder
from monitor.decoding.decoded_rows import DecodedRows
from monitor.partition.key_check import KeyCheck
from monitor.partition.partitioner import partition_of
from monitor.policy.load import load
from schemas import codec
from schemas.examples import EXAMPLES

Keys = Callable[[Sequence[bytes | None]], Sequence[bytes | None]]

CALL = codec.encode(EXAMPLES["cdr"])
TENANT = EXAMPLES["cdr"].tenant_id  # type: ignore[attr-defined]


def decoded(*values: bytes) -> DecodedRows:
    layout = Shard(load(None)).layout
    return Decoder(layout, np.uint64(1)).messages(values, np.arange(len(values)), {})


@pytest.mark.parametrize("keys_of", [list, ByteRows.of], ids=["of a list", "as fetched"])
def test_a_key_that_is_not_the_tenant_is_rejected_with_its_number_masked(keys_of: Keys) -> None:
    tenant = TENANT
    piece = decoded(CALL, CALL, CALL)
    KeyCheck(0, 1, "murmur2").check("cdr", piece, keys_of([tenant.encode(), None, b"+8613812345678"]))
    assert [row for row, _ in piece.rejected] == [1, 2]
    assert piece.rejected[0][1] == f"wrong_key: expected the key to be tenant_id {tenant!r}, got none"
    assert piece.rejected[1][1].startswith("wrong_key: ")
    assert "13812345678" not in piece.rejected[1][1]
    assert piece.call_rows.tolist() == [0]
    assert (piece.event_ms >= 0).tolist() == [True, False, False]


@pytest.mark.parametrize("parsed", ["by the extension", "by msgspec"])
@pytest.mark.parametrize("keys_of", [list, ByteRows.of], ids=["of a list", "as fetched"])
def test_each_record_needs_the_key_of_its_own_tenant(
    keys_of: Keys, parsed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parsed == "by the extension" and not native.built():
        pytest.skip("the extension is not built")
    names = ["acme", "云", "bravo", "acme"]
    kinds = ["cdr", "cdr", "complaint", "complaint"]
    lines = [
        codec.encode(msgspec.structs.replace(EXAMPLES[kind], tenant_id=name))
        for kind, name in zip(kinds, names, strict=True)
    ]
    right = [name.encode() for name in names]
    for wrong in (None, 0, 1, 2, 3):
        keys = [b"acm" if row == wrong else key for row, key in enumerate(right)]
        for topic, mine in (("cdr", slice(0, 2)), ("complaints", slice(2, 4))):
            with monkeypatch.context() as switched:
                switched.setattr(native, "enabled", parsed == "by the extension")
                piece = decoded(*lines[mine])
            KeyCheck(0, 1, "murmur2").check(topic, piece, keys_of(keys[mine]))
            expected = [row for row in range(4)[mine] if row == wrong]
            assert [mine.start + row for row, _ in piece.rejected] == expected


def test_a_record_off_its_partition_names_the_setting_to_change() -> None:
    tenant = TENANT
    home = partition_of(tenant.encode(), 8, "murmur2")
    right, wrong = decoded(CALL), decoded(CALL)
    KeyCheck(home, 8, "murmur2").check("cdr", right, [tenant.encode()])
    KeyCheck((home + 1) % 8, 8, "murmur2").check("cdr", wrong, [tenant.encode()])
    assert right.rejected == []
    ((_, reason),) = wrong.rejected
    assert reason.startswith(f"wrong_partition: expected tenant_id {tenant!r} in partition {home} of 8")
    assert "partitioner=murmur2_random" in reason


def test_a_record_of_another_topic_is_rejected() -> None:
    review = codec.encode(EXAMPLES["review"])
    tenant = EXAMPLES["review"].tenant_id.encode()  # type: ignore[attr-defined]
    piece = decoded(review)
    KeyCheck(0, 1, "murmur2").check("complaints", piece, [tenant])
    assert piece.rejected == [(0, "wrong_topic: expected complaint in the topic complaints, got type 'review'")]
    assert piece.others == []
    calls = decoded(CALL)
    KeyCheck(0, 1, "murmur2").check("reviews", calls, [TENANT.encode()])
    assert calls.rejected == [(0, "wrong_topic: expected review in the topic reviews, got type 'cdr'")]
