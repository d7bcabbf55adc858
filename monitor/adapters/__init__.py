"""Turns other people's call and complaint files into wire records."""

from monitor.adapters.errors import MappingError
from monitor.adapters.shipped import NAMES, open_adapter

__all__ = ["NAMES", "MappingError", "open_adapter"]
