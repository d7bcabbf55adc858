"""Loads the extensions in C. They are built when Callwarden is installed where a C compiler is."""

import importlib
import os
from types import ModuleType
from typing import Final

WANTED: Final = not os.environ.get("CALLWARDEN_NO_EXTENSIONS")
"""Whether extensions that are built are used."""


def load(name: str, interface: int) -> ModuleType | None:
    """An extension; None if it is not built, or was built from sources with another interface."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return None
    return module if getattr(module, "INTERFACE", None) == interface else None
