"""Fetching in columns, as each process of Callwarden does."""

import pytest

from streams.kafka.fetch import columnar_fetch as fastfetch


@pytest.fixture
def columnar_fetch() -> None:
    fastfetch.install_columnar_fetch()
