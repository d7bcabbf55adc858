"""Puts the folders on the path whose samples these tests share: the shard's, and the ledger's."""

import sys
from pathlib import Path

_TESTS = Path(__file__).parents[2]
sys.path[:0] = [
    str(_TESTS / "shard"),
    str(_TESTS / "streams" / "consumers"),
    str(_TESTS / "streams" / "consumers" / "ledger"),
]
