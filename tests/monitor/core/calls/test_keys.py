"""Keys: equal strings have equal keys in every process, consecutive numbers have consecutive keys, all
others differ.
"""

import itertools

import numpy as np
import pytest
from hypothesis import strategies as st

from helpers.colliding_numbers import COLLIDING_IDS
from helpers.thorough import examples
from monitor.core.calls.keys import mix, modulus_of, number_keys, salt_of, text_keys

MASK = 2**64 - 1
A, B, C = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


def plain_mix(x: int) -> int:
    x = (x ^ (x >> 30)) * B & MASK
    x = (x ^ (x >> 27)) * C & MASK
    return x ^ (x >> 31)


def plain_text_key(text: str, salt: int) -> int:
    data = text.encode()
    state = salt ^ (len(data) * A & MASK)
    for at in range(0, len(data), 8):
        word = int.from_bytes(data[at : at + 8].ljust(8, b"\0"), "little")
        state = (plain_mix(state ^ word) * A + (word >> 32)) & MASK
    return plain_mix(state)


def is_number(text: str) -> bool:
    digits = text.removeprefix("+")
    return bool(digits) and all("0" <= c <= "9" for c in digits)


def plain_number_key(text: str, salt: int) -> int:
    if not is_number(text):
        return plain_mix(plain_text_key(text, 0) ^ salt)
    digits = text.removeprefix("+")
    shape = (2 * len(digits) + (text[0] == "+")) * A & MASK
    value = int(digits) if len(digits) < 20 else int(digits) % int(modulus_of(0))
    return (value + plain_mix(salt ^ shape)) & MASK


def salts(text_count: int, salt: int = 0) -> np.ndarray:
    return np.full(text_count, salt, np.uint64)


def one_number_key(text: str, salt: int = 0) -> int:
    return int(number_keys([text], salts(1, salt))[0][0])


anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=70)
numbers = st.from_regex(r"\+?[0-9]{1,64}", fullmatch=True)
near_numbers = st.text("0123456789+-٠①Ａ \0", min_size=1, max_size=8)
any_salt = st.integers(0, MASK)


@pytest.mark.parametrize(
    ("text", "salt", "key"),
    [
        ("", 0, 0),
        ("acme", 0, 0x2E674097BA142E75),
        ("公司", 0, 0x30E21454B92DE331),
        ("a\0b", 7, 0x969D4A5DF8AAF2DA),
    ],
)
def test_a_key_does_not_change_between_releases_or_processes(text: str, salt: int, key: int) -> None:
    """Stored panes and audits compare keys of other processes."""
    assert int(text_keys([text], salts(1, salt))[0]) == key


@pytest.mark.parametrize(
    ("text", "key"), [("+8613800000001", 0x69B8369220A06D01), ("0001", 0xC584133AC916AB3D), ("who", 0x436E62685FB159CA)]
)
def test_a_numbers_key_does_not_change_between_releases_or_processes(text: str, key: int) -> None:
    assert one_number_key(text) == key


@examples(st.lists(st.one_of(anything, st.just("")), max_size=12), st.data(), fast=37, most=150)
def test_a_column_is_not_hashed_otherwise_than_one_text(texts: list[str], data: st.DataObject) -> None:
    own = [data.draw(any_salt) for _ in texts]
    keys = text_keys(texts, np.array(own, np.uint64))
    assert keys.tolist() == [plain_text_key(text, salt) for text, salt in zip(texts, own, strict=True)]


@examples(st.lists(st.one_of(anything, numbers, near_numbers), max_size=12), st.data(), fast=50, most=200)
def test_a_column_of_numbers_is_not_keyed_otherwise_than_one(texts: list[str], data: st.DataObject) -> None:
    own = [data.draw(any_salt) for _ in texts]
    keys, numeric = number_keys(texts, np.array(own, np.uint64))
    assert numeric.tolist() == [is_number(text) for text in texts]
    assert keys.tolist() == [plain_number_key(text, salt) for text, salt in zip(texts, own, strict=True)]


@examples(numbers, any_salt, fast=50, most=200)
def test_the_next_number_has_the_next_key_and_no_other_shape_has(number: str, salt: int) -> None:
    plus, digits = ("+", number[1:]) if number[0] == "+" else ("", number)
    after = str(int(digits) + 1).zfill(len(digits))
    if len(after) > len(digits):
        return  # 999: no next number with the same number of digits
    assert one_number_key(plus + after, salt) == (one_number_key(number, salt) + 1) & MASK
    other_shapes = {after if plus else "+" + after, plus + "0" + after, plus + (after.lstrip("0") or "0")}
    for other in other_shapes - {plus + after}:
        assert one_number_key(other, salt) != (one_number_key(number, salt) + 1) & MASK


def test_after_nines_comes_no_number_of_more_digits() -> None:
    keys, numeric = number_keys(["999", "1000", "0999", "+999", "+1000"], salts(5))
    assert numeric.all()
    steps = {(a, b) for a, b in itertools.permutations(range(5), 2) if int(keys[b]) == (int(keys[a]) + 1) & MASK}
    assert steps == {(2, 1)}  # only 1000 follows 0999


@pytest.mark.parametrize("digits", [20, 21, 40, 63])
def test_long_numbers_that_differ_by_a_multiple_of_two_to_the_64_are_not_one(digits: int) -> None:
    """64 bits do not hold them."""
    some = [f"{10 ** (digits - 1) + step * 2**64:0{digits}}" for step in range(5 if digits > 20 else 4)]
    keys, numeric = number_keys([*some, *("+" + one for one in some)], salts(2 * len(some)))
    assert numeric.all()
    assert len(set(keys.tolist())) == 2 * len(some)


@pytest.mark.parametrize("digits", [19, 20, 38, 39, 63])
@pytest.mark.parametrize("nines", range(0, 60, 7))
def test_a_carry_through_any_digits_gives_the_next_key(digits: int, nines: int) -> None:
    number = int("1" * (digits - min(nines, digits - 1)) + "9" * min(nines, digits - 1))
    keys, _ = number_keys([str(number), str(number + 1), str(number + 2)], salts(3))
    assert [(int(key) - int(keys[0])) & MASK for key in keys] == [0, 1, 2]


def test_the_modulus_of_long_numbers_is_a_prime_that_the_salt_alone_decides() -> None:
    moduli = [int(modulus_of(salt)) for salt in (0, 1, 2, MASK)]
    assert moduli[0] == 1_018_388_026_041_162_971
    assert len(set(moduli)) == len(moduli)
    for modulus in moduli:
        assert modulus.bit_length() == 60
        assert all(pow(base, modulus - 1, modulus) == 1 for base in (2, 3, 5, 7, 11))
        assert all(modulus % small for small in range(2, 10_000))


@pytest.mark.parametrize("text", ["+", "++1", "1+", "-1", "1 2", " 1", "٠١", "１２", "1.0", "1e3", "a1", "1\0", "\0"])
def test_a_text_that_only_resembles_a_number_has_no_neighbour(text: str) -> None:
    assert not number_keys([text], salts(1))[1][0]


@examples(st.lists(st.one_of(anything, numbers), min_size=2, max_size=40, unique=True), any_salt, fast=15, most=60)
def test_two_texts_of_a_tenant_do_not_share_a_key(texts: list[str], salt: int) -> None:
    assert len(set(number_keys(texts, salts(len(texts), salt))[0].tolist())) == len(texts)
    assert len(set(text_keys(texts, salts(len(texts), salt)).tolist())) == len(texts)


def test_ids_that_collide_under_one_salt_do_not_under_others() -> None:
    """To choose ids that collide, one must know the salt."""
    distinct = [len(set(text_keys(COLLIDING_IDS, salts(2, salt)).tolist())) for salt in range(1_000)]
    assert distinct == [1] + [2] * 999


@examples(
    st.one_of(anything, numbers),
    st.lists(anything, min_size=2, max_size=6, unique=True),
    st.binary(max_size=8),
    fast=15,
    most=60,
)
def test_tenants_do_not_share_keys(text: str, tenants: list[str], secret: bytes) -> None:
    salt = salt_of(secret)
    own = text_keys(tenants, np.full(len(tenants), salt))
    assert len(set(number_keys([text] * len(tenants), own)[0].tolist())) == len(tenants)
    assert len(set(text_keys([text] * len(tenants), own).tolist())) == len(tenants)


def test_trailing_nuls_and_lengths_distinguish_texts() -> None:
    texts = ["a", "a\0", "a\0\0", "\0a", "\0", "\0\0", "", "a" * 8, "a" * 8 + "\0", "a" * 9, "é", "e\u0301"]
    keys = text_keys(texts, salts(len(texts)))
    assert len(set(keys.tolist())) == len(texts)


def test_a_numbers_place_in_the_column_and_its_neighbours_there_do_not_change_its_key() -> None:
    texts = ["+8613800000001", "who", "0001", "公司", "+8613800000002", "x" * 64, "7"]
    alone = [one_number_key(text) for text in texts]
    for order in itertools.permutations(range(len(texts)), 3):
        keys, _ = number_keys([texts[i] for i in order], salts(3))
        assert keys.tolist() == [alone[i] for i in order]


def test_secrets_give_salts_of_their_own() -> None:
    secrets = [b"", b"\0", b"\0\0", b"a", b"A", bytes(range(256))]
    assert len({int(salt_of(secret)) for secret in secrets}) == len(secrets)


def test_mixing_loses_nothing() -> None:
    """A bijection: two different keys are never mixed into one."""
    some = np.arange(100_000, dtype=np.uint64) * np.uint64(2**40 + 1)
    assert len(np.unique(mix(some))) == len(some)
