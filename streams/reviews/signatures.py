"""Signs reviews: private keys in files, and the header that a signed review carries.

The worker verifies with `monitor.decoding.review_keys`; its public keys are in the file of
`streams.settings.review_keys_file`.
"""

import base64
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from monitor.text.private_files import open_private
from schemas.review_signature import SIGNATURE_HEADER, name_fault, write_signature

# Most commands of the reviewers sign nothing: `cryptography` is imported where it is used.
if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["SIGNATURE_HEADER", "KeyFileError", "SignedValue", "SigningKey", "load_signing_key", "make_key", "sign"]

SUFFIX: Final = ".pem"
_MAX_FILE_BYTES: Final = 16_384


class KeyFileError(ValueError):
    """A file that is not usable as a private key. The message names the file, what is wrong, and what to do."""


class SignedValue(NamedTuple):
    """The bytes of a review as they are sent, and the header that signs them; None: it is not signed."""

    value: bytes
    signature: bytes | None = None

    @property
    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """The headers of the record."""
        return () if self.signature is None else ((SIGNATURE_HEADER, self.signature),)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and the name under which the workers know its public key."""

    name: str
    private: "Ed25519PrivateKey" = field(repr=False)

    @property
    def public_text(self) -> str:
        """The public key as in the file of review keys: in base64."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.b64encode(raw).decode()


def sign(value: bytes, key: SigningKey) -> bytes:
    """The value of the header `SIGNATURE_HEADER` for a record with this value. The same bytes each time."""
    return write_signature(key.name, key.private.sign(value))


def load_signing_key(path: Path) -> SigningKey:
    """The private key in a PEM file (PKCS#8), whose name without `.pem` is the key's. Raises KeyFileError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    name = path.name.removesuffix(SUFFIX)
    if fault := name_fault(name):
        raise KeyFileError(f"{path}: the file's name is the name of the key; {fault}")
    try:
        with path.open("rb") as file:
            _check_mode(path, os.fstat(file.fileno()))
            pem = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read ({error.strerror or error})") from None
    expected = "expected a private key of Ed25519 in PEM (PKCS#8), as `callwarden reviews keygen` writes it"
    if len(pem) > _MAX_FILE_BYTES:
        raise KeyFileError(f"{path}: it has more than {_MAX_FILE_BYTES} bytes; {expected}")
    try:
        private = load_pem_private_key(pem, password=None)
    except TypeError:
        raise KeyFileError(f"{path}: the key has a password; expected one without, in a file of mode 0600") from None
    except (ValueError, UnsupportedAlgorithm):  # the text of the error may hold parts of the file
        raise KeyFileError(f"{path}: not a private key; {expected}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyFileError(f"{path}: a key of another algorithm; {expected}")
    return SigningKey(name, private)


def make_key(name: str, folder: Path) -> tuple[SigningKey, Path]:
    """A new key, and its file in ``folder``, which only its owner can read. Raises KeyFileError, also if it exists."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    if fault := name_fault(name):
        raise KeyFileError(f"{name}: {fault}")
    key, path = SigningKey(name, Ed25519PrivateKey.generate()), folder / f"{name}{SUFFIX}"
    try:
        with open_private(path, "xb") as file:
            file.write(key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already; expected another name, or no such file") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written ({error.strerror or error})") from None
    return key, path


def _check_mode(path: Path, status: os.stat_result) -> None:
    """Raise KeyFileError if others than its owner, or the group of a file of root, may read the key or change it."""
    if os.name != "posix":
        return
    allowed = 0o740 if status.st_uid == 0 else 0o700  # as PostgreSQL has it: a mounted secret belongs to root
    mode = stat.S_IMODE(status.st_mode)
    if mode & ~allowed:
        raise KeyFileError(f"{path}: others can read or change it (mode {mode:04o}); run `chmod 600 {path}`")
