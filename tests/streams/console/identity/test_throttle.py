"""Failures slow down who makes them, and nobody else."""

import pytest

from streams.console.identity.throttle import SignInThrottle, network_of, whole_seconds


class _Time:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def now() -> _Time:
    return _Time()


@pytest.fixture
def throttle(now: _Time) -> SignInThrottle:
    return SignInThrottle(now)


def _attempts(throttle: SignInThrottle, account: str, address: str, count: int) -> int:
    """How many of so many attempts at one moment are let through."""
    return sum(throttle.begin(account, address, None) == 0 for _ in range(count))


def test_five_failures_are_free_and_the_pause_doubles_to_a_quarter_of_an_hour(
    throttle: SignInThrottle, now: _Time
) -> None:
    assert _attempts(throttle, "local:li", "192.0.2.1", 100) == 5
    pauses = []
    for _ in range(14):
        pauses.append(throttle.begin("local:li", "192.0.2.1", None))
        now.now_s += pauses[-1]
        assert throttle.begin("local:li", "192.0.2.1", None) == 0
    assert pauses[:4] == [1, 2, 4, 8]
    assert pauses[-1] == 900


def test_an_attempt_counts_before_its_outcome_is_known(throttle: SignInThrottle) -> None:
    # A thousand at the same time, before any has failed.
    assert _attempts(throttle, "local:li", "192.0.2.1", 1000) == 5


def test_a_success_forgives_the_account_at_this_address_alone(throttle: SignInThrottle) -> None:
    for name in ("local:li", "local:wu"):
        assert _attempts(throttle, name, "192.0.2.1", 9) == 5
    throttle.succeeded("local:li", "192.0.2.1", None)
    assert _attempts(throttle, "local:li", "192.0.2.1", 1) == 1
    assert _attempts(throttle, "local:wu", "192.0.2.1", 1) == 0


def test_an_own_account_frees_no_guesses_on_others(throttle: SignInThrottle) -> None:
    """An insider signs in between guesses: the address is slowed all the same."""
    free = 0
    for number in range(300):
        free += _attempts(throttle, f"local:victim{number}", "192.0.2.1", 1)
        if throttle.begin("local:insider", "192.0.2.1", None) == 0:
            throttle.succeeded("local:insider", "192.0.2.1", None)
    assert free == 50


def test_failures_from_elsewhere_lock_nobody_out(throttle: SignInThrottle, now: _Time) -> None:
    for number in range(5000):
        throttle.begin("local:li", f"198.51.{number % 250}.{number // 250}", None)
        now.now_s += 0.1
    assert throttle.begin("local:li", "192.0.2.1", None) == 0, "the first attempt from a new address is let through"
    assert throttle.begin("local:li", "192.0.2.1", None) > 0, "but under attack an address has one, not five"
    assert throttle.begin("local:li", "192.0.2.1", "known browser") == 0


def test_a_known_browser_is_counted_by_itself(throttle: SignInThrottle, now: _Time) -> None:
    """A colleague behind the same address, or a proxy that hides all addresses, locks nobody out of a known browser."""
    for number in range(500):
        throttle.begin(f"local:{number}", "10.0.0.1", None)
    assert throttle.begin("local:li", "10.0.0.1", None) > 0
    assert sum(throttle.begin("local:li", "10.0.0.1", "browser") == 0 for _ in range(50)) == 10
    throttle.succeeded("local:li", "10.0.0.1", "browser")
    assert throttle.begin("local:li", "10.0.0.1", "browser") == 0


def test_names_are_counted_without_case(throttle: SignInThrottle) -> None:
    names = ["local:li", "LOCAL:LI", "Local:Li"]
    assert sum(throttle.begin(names[number % 3], "192.0.2.1", None) == 0 for number in range(30)) == 5


def test_memory_is_bounded_and_a_full_memory_lets_in(now: _Time) -> None:
    throttle = SignInThrottle(now, most=100)
    for number in range(10_000):
        throttle.begin(f"local:{number}", f"10.{number >> 8 & 255}.{number & 255}.1", None)
    assert len(throttle) <= 400
    assert throttle.begin("local:li", "192.0.2.1", None) == 0


def test_an_hour_without_an_attempt_forgets(throttle: SignInThrottle, now: _Time) -> None:
    assert _attempts(throttle, "local:li", "192.0.2.1", 9) == 5
    now.now_s += 3_601
    assert _attempts(throttle, "local:li", "192.0.2.1", 9) == 5


def test_an_ipv6_customer_is_one_address(throttle: SignInThrottle) -> None:
    assert sum(throttle.begin("local:li", f"2001:db8::{number:x}", None) == 0 for number in range(1, 100)) == 5
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("unknown") == "unknown"


def test_whole_seconds() -> None:
    assert [whole_seconds(each) for each in (0.01, 1.0, 1.2)] == [1, 1, 2]
