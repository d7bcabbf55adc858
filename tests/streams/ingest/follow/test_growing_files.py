"""Files are read as they grow: waited for, up to their last whole line, in transactions of bounded size."""

import structlog
from followed_files import HEADER, Followed, add, rows


def test_a_file_is_waited_for_and_then_read_as_it_grows(followed: Followed) -> None:
    assert followed.read() == []
    assert followed.source.away == f"there is no file {followed.path} yet"
    add(followed.path, HEADER + rows("a"))
    assert followed.read() == ["a"]
    assert followed.source.away is None
    add(followed.path, rows("b", "c"))
    assert followed.read() == ["b", "c"]
    followed.restart()
    assert followed.read() == []
    add(followed.path, rows("d"))
    assert followed.read() == ["d"]
    assert followed.source.backlog.left == 0


def test_the_last_line_waits_for_its_end(followed: Followed) -> None:
    add(followed.path, HEADER + rows("a") + b"b,acme,")
    assert followed.read() == ["a"]
    assert followed.read(600) == []
    assert followed.source.backlog.left == 7
    add(followed.path, b"1772438400000\n")
    assert followed.read() == ["b"]


def test_more_lines_than_a_transaction_takes_are_read_in_several(followed: Followed) -> None:
    names = [f"c{n}" for n in range(12_000)]
    add(followed.path, HEADER + rows(*names))
    assert followed.read() == names
    assert max(len(batch.outs) for batch in followed.batches) <= 5_000


def test_a_file_that_cannot_be_read_is_said_once(followed: Followed) -> None:
    add(followed.path, b"other,columns\n1,2\n")
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            followed.read()
    assert [each["event"] for each in logs].count("a file cannot be read") == 1
