"""When each alert on Callwarden's own health fires, and when it does not."""

from dataclasses import dataclass

Series = dict[str, str]


@dataclass(frozen=True)
class Fires:
    """Series, one value a minute unless given otherwise, and the alerts firing at ``at``: labels and
    summary of each.
    """

    series: Series
    at: str
    alerts: list[tuple[dict[str, str], str]]


@dataclass(frozen=True)
class Quiet:
    """Series at which the alert does not fire."""

    series: Series
    at: str
    interval: str = "1m"


@dataclass(frozen=True)
class Cases:
    """The test cases of an alert."""

    fires: list[Fires]
    quiet: list[Quiet]
