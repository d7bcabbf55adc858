"""Comparisons with a threshold, and with a condition of `also`."""


def beyond(value: float, limit: float, direction: str) -> bool:
    return value > limit if direction == "above" else value < limit


def fulfilled(value: float | None, op: str, limit: float) -> bool:
    if value is None:
        return False
    if op == "above":
        return value > limit
    if op == "below":
        return value < limit
    return value >= limit if op == "at_least" else value <= limit
