"""Policies with many time zones and short-call limits, which take more than 32 bits of a word, against the oracle."""

import json
import random
from typing import Any

import pytest

from helpers.shard_samples import DAY, HOUR, T0, cdr, policy_of
from helpers.thorough import thorough
from monitor.policy.load import loads
from monitor.policy.model import MAX_VARIANTS
from oracle import judge
from oracle.compare import as_output, differences
from oracle.policy_generator import MINUTE, SIGNED, to_ms
from oracle.product import run
from oracle.scenario_generator import scenario
from schemas import codec

# All over the day, with half and quarter hours and both kinds of summer time.
ZONES = (
    *(f"Etc/GMT{hours:+d}" for hours in range(-14, 13)),
    "America/New_York",
    "America/St_Johns",
    "America/Santiago",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Shanghai",
    "Australia/Eucla",
    "Australia/Lord_Howe",
    "Europe/London",
    "Pacific/Chatham",
)
SPANS = (("5m", "5m"), ("1h", "5m"), ("3h", "30m"), ("24h", "1h"))


def zoned_rule(
    rng: random.Random, number: int, zone: str | None, limit_s: float | None, cancel: bool = False
) -> dict[str, Any]:
    window, step = rng.choice(SPANS)
    direction = rng.choice(("above", "above", "below"))
    return {
        "id": f"r{number}",
        "behaviour": rng.choice(("blind_calling", "no_consent")),
        "metric": "out_of_hours_ratio" if zone else "short_cancel_ratio" if cancel else "short_call_ratio",
        direction: rng.choice((0.1, 0.3, 0.5, 0.8)),
        "window": window,
        "step": step,
        "mode": rng.choice(("enforce", "review", "shadow")),
        "with": {"timezone": zone} if zone else {"short_ring_s" if cancel else "short_call_s": limit_s},
    }


def zoned_policy(rng: random.Random, base: dict[str, Any], tenants: list[str], version: int) -> dict[str, Any]:
    """The policy with rules and overrides that have 17 to all possible variants between them."""
    zones = rng.sample(ZONES, rng.randint(8, min(len(ZONES), MAX_VARIANTS - 6)))
    limits = [float(n) for n in rng.sample(range(1, 60), rng.randint(2, MAX_VARIANTS - 4 - len(zones)))]
    rules = [zoned_rule(rng, number, zone, None) for number, zone in enumerate(zones[: len(zones) // 2])]
    rules += [
        zoned_rule(rng, len(rules) + number, None, limit, rng.random() < 0.5) for number, limit in enumerate(limits)
    ]
    refused = rng.randint(0, MAX_VARIANTS - 4 - len(zones) - len(limits))
    for rule in rules[: min(refused, len(zones) // 4)]:
        rule["metric"] = "out_of_hours_reject_ratio"
    hours = [rule for rule in rules if rule["metric"] == "out_of_hours_ratio"]
    overrides, pairs = [], [(rule, tenant) for rule in hours for tenant in tenants]
    rng.shuffle(pairs)
    for (rule, tenant), zone in zip(pairs, zones[len(zones) // 2 :], strict=False):
        changes = {"with": {"timezone": zone}, "expires": "2027-01-01"}
        overrides.append({"tenant": tenant, "rule": rule["id"], **changes, **SIGNED})
    own = {"version": str(version), "rules": rules, "overrides": overrides, "exemptions": [], "escalations": []}
    defaults = base["defaults"] | {"retention": "400d"}
    return {**base, **own, "defaults": defaults}


def compare(seed: int, switched: bool) -> None:
    rng = random.Random(seed)
    made = scenario(seed, flavour="random", size=60)
    assert made.frame is not None
    first, *later = [zoned_policy(rng, made.policy, made.frame.tenants, n) for n in range(3 if switched else 1)]
    times = sorted(rng.sample(range(made.frame.span // (5 * MINUTE)), len(later)))
    switches = [
        (made.frame.start // (5 * MINUTE) * 5 * MINUTE + at * 5 * MINUTE, policy)
        for at, policy in zip(times, later, strict=True)
    ]
    print(f"seed {seed}: switches at {times}")
    assert all(to_ms(rule["window"]) <= DAY for rule in first["rules"])
    how: dict[str, Any] = {"not_after_ms": made.not_after_ms, "until_ms": made.until_ms, "switches": switches}
    expected = as_output(judge(made.files, first, **how))
    actual = run(made.files, first, shards=rng.choice((1, 3)), piece_lines=rng.choice((1, 7, 5_000)), **how)
    assert differences(expected, actual)[:10] == []


@pytest.mark.parametrize("seed", thorough([228, 0, 1], 1))  # the first is judged until just before the end of an hour
def test_many_zones_and_limits_decide_as_the_oracle_says(seed: int) -> None:
    compare(seed, switched=False)


@pytest.mark.parametrize("seed", thorough([105, 0, 1], 1))
def test_many_zones_and_limits_through_changes_of_policy_decide_as_the_oracle_says(seed: int) -> None:
    """Layouts of different widths follow one another, and panes of one are read by the next."""
    compare(seed, switched=True)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(100, 400, 100))
def test_many_more_zones_and_limits_decide_as_the_oracle_says(first: int) -> None:
    for seed in range(first, first + 100):
        compare(seed, switched=seed % 2 == 1)


@pytest.mark.parametrize("metric", ["above", "below"])
def test_a_rule_with_fifteen_overrides_of_its_zone_is_judged_at_each_hour_of_the_day(metric: str) -> None:
    """If no call of a part had a high bit, its words used to be narrower than the policy's layout."""
    overrides = [
        {"tenant": f"t{n}", "rule": "hours", "with": {"timezone": zone}, "expires": "2027-01-01", **SIGNED}
        for n, zone in enumerate(ZONES[:15])
    ]
    rule = {"id": "hours", "behaviour": "blind_calling", "metric": "out_of_hours_ratio", metric: 0.5}
    whole = {"rules": [rule | {"window": "1h", "step": "30m"}], "overrides": overrides}
    policy = policy_of(**whole)
    plain = {"id": "test", "version": "1", "extends": "access-rules", "escalations": [], **whole}
    assert loads(json.dumps(plain), "policy.json") == policy
    calls = [
        codec.encode(cdr(call_id=f"c{hour}-{n}", tenant_id=f"t{n}", start_ms=end_ms, end_ms=end_ms)).decode()
        for hour in range(24)
        for n in range(0, 15, 3)
        for end_ms in [T0 + hour * HOUR + n]
    ]
    files = [sorted(calls, key=lambda line: json.loads(line)["end_ms"])]
    expected = as_output(judge(files, plain, not_after_ms=T0 + 2 * DAY))
    assert expected["enforcement"]
    for piece_lines in (1, 5_000):
        actual = run(files, plain, not_after_ms=T0 + 2 * DAY, piece_lines=piece_lines)
        assert differences(expected, actual)[:10] == []
