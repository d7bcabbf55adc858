"""A replay in which policies follow one another, and the independent oracle, give the same."""

import json
import random
from typing import Any

import pytest

from monitor.policy.load import loads
from oracle import judge
from oracle.compare import as_output, differences
from oracle.generate import scenario
from oracle.product import run
from oracle.switched import changes

FAST = range(24)
SOAK = range(1_000, 1_600)


def compare(seed: int, size: int | None = None) -> None:
    made = scenario(seed, size=size)
    rng = random.Random(seed)
    switches = changes(rng, made)
    print(f"seed {seed} flavour {made.flavour}: switches at {[(one.from_ms, one.kind) for one in switches]}")
    plain = [(one.from_ms, one.policy) for one in switches]
    times: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms}
    expected = as_output(judge(made.files, made.policy, switches=plain, **times))
    actual = run(made.files, made.policy, switches=plain, shards=rng.choice((1, 1, 3)), **times)
    assert differences(expected, actual)[:20] == []
    shas = [(0, made.policy), *plain]
    for event in actual["enforcement"]:
        in_force = [plain for from_ms, plain in shas if from_ms <= event["decided_ms"]][-1]
        assert event["policy"]["sha256"] == loads(json.dumps(in_force), "p").sha256


@pytest.mark.parametrize("seed", FAST)
def test_a_switch_decides_as_the_oracle_says(seed: int) -> None:
    compare(seed, size=120)


@pytest.mark.soak
@pytest.mark.parametrize("first", SOAK[::100])
def test_a_switch_decides_as_the_oracle_says_on_many_more(first: int) -> None:
    for seed in range(first, first + 100):
        compare(seed)
