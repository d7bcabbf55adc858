"""The styles of decisions on a terminal."""

from typing import Final

STYLES: Final = {"severe": "bold red", "major": "bold dark_orange", "minor": "yellow", "none": "cyan"}
"""By tier; `none` is a decision without one."""
