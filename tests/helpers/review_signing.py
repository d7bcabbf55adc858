"""Keys that sign reviews in tests."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streams.reviews.signatures import SigningKey


def key_of(name: str, seed: int = 0) -> SigningKey:
    """The same key for the same name and seed."""
    return SigningKey(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) + name.encode().ljust(31, b".")[:31]))


def texts_of(*keys: SigningKey) -> dict[str, str]:
    """The public keys, as in the settings."""
    return {key.name: key.public_text for key in keys}
