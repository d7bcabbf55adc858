"""Converts third-party call and complaint files to wire records."""

from monitor.adapters.errors import MappingError
from monitor.adapters.shipped import NAMES, open_adapter

__all__ = ["NAMES", "MappingError", "open_adapter"]
