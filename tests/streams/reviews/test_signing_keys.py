"""Private keys in files, and the file of public keys: what is accepted, and that each fault says what to do."""

import os
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from helpers.review_signing import key_of, texts_of
from monitor.decoding.review_keys import ReviewKeys
from monitor.policy.file.errors import PolicyError
from streams.reviews.signatures import KeyFileError, load_signing_key, make_key, sign
from streams.settings.load import SettingsError, load
from streams.settings.review_keys_file import read_review_keys

WANG, LI = key_of("wang"), key_of("li")


def test_a_new_key_signs_what_its_public_line_verifies(tmp_path: Path) -> None:
    made, path = make_key("李敏", tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    key = load_signing_key(path)
    assert (key.name, key.public_text) == (made.name, made.public_text)
    assert ReviewKeys(texts_of(key)).verify(b"value", (sign(b"value", key),)) == "李敏"
    assert sign(b"value", key) == sign(b"value", made), "the same bytes each time"
    assert str(path.read_bytes()) not in repr(key)
    with pytest.raises(KeyFileError, match="exists already"):
        make_key("李敏", tmp_path)


def test_a_key_of_openssl_signs(tmp_path: Path) -> None:
    path = tmp_path / "ops.pem"
    try:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(path)], check=True)
    except FileNotFoundError:
        pytest.skip("no openssl: pip cannot install it, and Callwarden does not need it")
    path.chmod(0o600)
    key = load_signing_key(path)
    assert ReviewKeys(texts_of(key)).verify(b"value", (sign(b"value", key),)) == "ops"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "../up", "a\\b", "x" * 65, "new\nline"])
def test_a_name_that_is_none_makes_no_file(name: str, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="expected 1 to 64 printable characters"):
        make_key(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o602, 0o644, 0o666])
def test_a_key_that_others_can_read_is_refused(mode: int, tmp_path: Path) -> None:
    _, path = make_key("wang", tmp_path)
    path.chmod(mode)
    if os.getuid() == 0 and mode == 0o640:
        assert load_signing_key(path).name == "wang", "a mounted secret: of root, and of the group of the program"
        return
    with pytest.raises(KeyFileError, match=f"others can read or change it \\(mode {mode:04o}\\); run `chmod 600"):
        load_signing_key(path)


def test_what_is_no_key_is_refused_without_its_content(tmp_path: Path) -> None:
    _, right = make_key("right", tmp_path)
    secret = load_signing_key(right).private
    locked = secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    contents = {
        "empty": (b"", "not a private key"),
        "text": (b"secret text", "not a private key"),
        "torn": (right.read_bytes()[:80], "not a private key"),
        "long": (right.read_bytes() + b"\n" * 20_000, "more than 16384 bytes"),
        "locked": (locked, "the key has a password"),
        "curve": (other, "a key of another algorithm"),
    }
    for name, (content, why) in contents.items():
        path = tmp_path / f"{name}.pem"
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(KeyFileError, match=why) as found:
            load_signing_key(path)
        assert "secret text" not in str(found.value)
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_signing_key(tmp_path / "none.pem")


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "review-keys.yaml"
    path.write_text(text, "utf-8")
    return path


def test_several_keys_are_read_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, f"keys:\n  wang: {WANG.public_text}\n  李敏: '{LI.public_text}'\n")
    assert read_review_keys(path) == {"wang": WANG.public_text, "李敏": LI.public_text}
    assert read_review_keys(written(tmp_path, "keys: {}\n")) == {}


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("", "1:1", "the file is empty; expected `keys:`"),
        ("wang: x\n", "1:1", "expected `keys:` with lines `NAME: PUBLIC KEY`"),
        ("keys:\n", "2:1", "expected `keys:`"),
        ("keys: [a]\n", "1:7", "expected `keys:`"),
        ("keys: {}\nmore: 1\n", "2:1", "unknown; expected `keys:`"),
        (f"keys:\n  a b: {WANG.public_text}\n", "2:3", "the name of a key: expected 1 to 64"),
        (f"keys:\n  17: {WANG.public_text}\n", "2:3", "expected text as a key, got 17: write it in quotes"),
        ("keys:\n  wang: 17\n", "2:9", "wang: it is not base64; expected an Ed25519 public key"),
        ("keys:\n  wang: AAAA\n", "2:9", "wang: it has 3 bytes; expected an Ed25519 public key"),
        (
            f"keys:\n  wang: {WANG.public_text}\n  li: {WANG.public_text}\n",
            "3:7",
            "li: wang has the same key; expected a key for each name",
        ),
        (f"keys:\n  wang: {WANG.public_text}\n  wang: {LI.public_text}\n", "3:3", "already defined on line 2"),
    ],
)
def test_each_fault_of_the_file_has_its_place(text: str, where: str, why: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PolicyError) as found:
        read_review_keys(path)
    assert str(found.value).startswith(f"{path}:{where}: "), found.value
    assert why in str(found.value)


def test_too_many_keys_are_refused(tmp_path: Path) -> None:
    lines = "".join(f"  n{n}: {key_of(f'n{n}').public_text}\n" for n in range(101))
    with pytest.raises(PolicyError, match="101 keys; expected at most 100"):
        read_review_keys(written(tmp_path, f"keys:\n{lines}"))


def test_the_settings_refuse_a_file_with_a_fault_and_hold_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().deciding.review_keys is None
    path = written(tmp_path, "keys:\n  wang: AAAA\n")
    monkeypatch.setenv("CALLWARDEN_REVIEW_KEYS_FILE", str(path))
    with pytest.raises(SettingsError, match=r"CALLWARDEN_REVIEW_KEYS_FILE: .*review-keys.yaml:2:9: wang: it has 3"):
        load()
    written(tmp_path, f"keys:\n  wang: {WANG.public_text}\n")
    assert load().deciding.review_keys == {"wang": WANG.public_text}
