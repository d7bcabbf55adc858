"""Where settings come from: their variables and their file. Without them all settings have their default."""

import os
from pathlib import Path
from typing import Final

PREFIX: Final = "CALLWARDEN_"
FILE: Final = PREFIX + "SETTINGS"
"""The variable that names the file."""
DEFAULT_FILE: Final = "callwarden.yaml"
"""The file in the working directory that is read if the variable names none."""


def settings_file() -> str:
    """The path of the file of settings, which need not exist."""
    return os.environ.get(FILE) or DEFAULT_FILE


def none_given() -> bool:
    """Whether neither the environment nor a file can have a setting."""
    named = any(name.upper().startswith(PREFIX.rstrip("_")) for name in os.environ)  # also a misspelled one
    return not named and not Path(DEFAULT_FILE).exists()
