"""Numbers of a policy as text, with all their digits: two that differ are never shown alike."""

from decimal import Decimal

_WHOLE = 1e15
"""Below it, the digits of a whole number are those of its double."""


def number(value: float) -> str:
    """A number as a policy file has it: ``0.5``, ``1000``. It parses to the same double."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < _WHOLE else repr(value)


def exact(value: float) -> str:
    """A number in a sentence: ``0.5``, ``1,000``."""
    return plain_decimal(shortest_decimal(value))


def exact_percent(value: float) -> str:
    """A share in per cent without the sign: ``0.07`` as ``7``."""
    return plain_decimal(shortest_decimal(value) * 100)


def share_of_percent(value: float) -> str:
    """A share from its value in per cent, with at least two decimals: ``30`` as ``0.30``."""
    return f"{plain_decimal(shortest_decimal(value) / 100):0<4}"


def shortest_decimal(value: float) -> Decimal:
    """The shortest decimal that parses to this double, so that 0.07 is seven per cent and not a little more."""
    return Decimal(repr(float(value)))


def plain_decimal(value: Decimal) -> str:
    """A decimal without an exponent and without zeros at its end."""
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
