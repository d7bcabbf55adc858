"""docs/guides/ledger.md defines the hash for other programs: its example and its program are correct."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

from oracle.ledger import oracle
from streams.consumers.ledger.hash_chain import beginning, link
from streams.kafka.api import TP

PAGE = (Path(__file__).parents[4] / "docs" / "guides" / "ledger.md").read_text("utf-8")
TP0 = TP("callwarden.enforcement", 0)


def example() -> list[list[str]]:
    """The rows of the example: number, offset, timestamp, key, value, hash."""
    lines = [line for line in PAGE.splitlines() if re.search(r"\| `[0-9a-f]{64}` \|$", line)]
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in lines]


def data(cell: str) -> bytes | None:
    return None if cell == "none" else cell.encode()


def test_the_example_is_right() -> None:
    (*_, before), *entries = example()
    hash_ = beginning(*TP0)
    assert hash_.hex() == before
    assert len(entries) == 2
    for _, offset, timestamp_ms, key, value, expected in entries:
        hash_ = link(hash_, int(offset), int(timestamp_ms), data(key), data(value))
        assert hash_.hex() == expected
    logs = {TP0: [(int(offset), int(at), data(key), data(value)) for _, offset, at, key, value, _ in entries]}
    assert [entry[-1] for entry in oracle(logs)] == [entry[-1] for entry in entries]


def test_the_program_accepts_the_example_and_nothing_that_differs() -> None:
    [program] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    lines = []
    for number, offset, at, key, value, hash_ in example()[1:]:
        key_value = {
            name: None if (held := data(cell)) is None else base64.b64encode(held).decode()
            for name, cell in (("key", key), ("value", value))
        }
        place = {"topic": TP0.topic, "partition": 0, "number": int(number), "offset": int(offset)}
        lines.append(json.dumps({**place, "timestamp_ms": int(at), "hash": hash_, **key_value}))

    def accepted(text: str) -> bool:
        done = subprocess.run([sys.executable, "-c", program], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0 or "AssertionError" in done.stderr, done.stderr
        return done.returncode == 0

    assert accepted("\n".join(lines))
    assert not accepted("\n".join(lines).replace("1772409601000", "1772409601001"))
    assert not accepted(lines[1])
