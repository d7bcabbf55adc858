"""An alert that stands, as the judge keeps it and the head stores it."""

from msgspec import Struct


class Firing(Struct):
    """An alert that stands: since when, and the latest decision made while it stood."""

    since_ms: int
    enforcement_id: str | None = None
