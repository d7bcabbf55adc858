"""The bench of the console's pages runs, and prints each page."""

import pytest

from bench.console import main


@pytest.mark.thorough
def test_each_page_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--cases", "60", "--times", "2"])
    printed = capsys.readouterr().out
    assert "SQLite, 60 cases" in printed
    pages = (
        "queue",
        "queue, next page",
        "queue, grouped",
        "recent verdicts",
        "case",
        "tenant",
        "search, a rule",
        "health",
    )
    for page in pages:
        assert f"| {page} |" in printed
