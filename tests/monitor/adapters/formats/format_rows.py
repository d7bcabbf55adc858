"""What a shipped format makes of a content: the reason of the one rejected row."""

from adapter_rows import read


def reason(name: str, content: str, **settings: str) -> str:
    (row,) = read(name, content, **settings)
    assert row.reason is not None
    return row.reason
