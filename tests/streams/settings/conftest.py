"""The environment in which settings are read, and a file of settings."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of Callwarden is in the environment."""
    for name in list(os.environ):
        if name.upper().startswith("CALLWARDEN"):
            monkeypatch.delenv(name)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What is put into it stands in the environment, with the prefix of Callwarden's variables."""

    class Environment(dict[str, str]):
        def __setitem__(self, name: str, value: str) -> None:
            monkeypatch.setenv(f"CALLWARDEN_{name}", value)

    return Environment()


@pytest.fixture
def written(given: dict[str, str], tmp_path: Path) -> Callable[[str], str]:
    """Writes a file of settings, names it in the environment, and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "settings.yaml"
        path.write_text(text, "utf-8")
        given["SETTINGS"] = str(path)
        return str(path)

    return write
