"""An alert that stands, as the judge keeps it and the head stores it."""

from msgspec import Struct


class Firing(Struct):
    """An alert that stands: since when, and the latest decision made while it stood.

    ``early``: it fired before the window that ends at ``since_ms`` was judged, and no judging has confirmed it yet.
    """

    since_ms: int
    enforcement_id: str | None = None
    early: bool = False
