"""Compression with zstd, for stored state and for record batches."""

import threading

import zstandard

_own = threading.local()  # creating a compressor costs more than a small entry; a compressor is not thread-safe


def compressed(data: bytes | bytearray | memoryview) -> bytes:
    """Compress with zstd at level 1, as a frame that states its size."""
    compressor: zstandard.ZstdCompressor | None = getattr(_own, "compressor", None)
    if compressor is None:
        compressor = _own.compressor = zstandard.ZstdCompressor(level=1)
    return compressor.compress(data)
