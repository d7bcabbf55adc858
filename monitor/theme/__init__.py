"""The look that the report and the console share: one style sheet, and the sign of Callwarden. Imports nothing."""

from importlib.resources import files
from typing import Final

THEME_CSS: Final = files(__name__).joinpath("theme.css").read_text("utf-8")
"""Colours, type, tables, forms, buttons, badges; plain CSS without a reference to another file."""
