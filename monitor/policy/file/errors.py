"""The faults of a policy file: every fault with its position, all in one error.

PolicyError (ValueError)
    carries `PolicyFault`s, sorted by position
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from monitor.text.masking import visible


@dataclass(frozen=True, slots=True, order=True)
class PolicyFault:
    """One fault. ``line`` and ``column`` count from 1, the column in code points."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        return f"{visible(self.file)}:{self.line}:{self.column}: {visible(self.message)}"


class PolicyError(ValueError):
    """A policy that cannot be used. ``faults`` are all of its faults, sorted by position, without duplicates."""

    def __init__(self, faults: Iterable[PolicyFault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """``"; did you mean `x`?"`` for a near miss, else the list of all known names."""
    names = list(known)
    near = difflib.get_close_matches(str(word).lower().replace("-", "_"), names, 1, 0.65)
    near = near or difflib.get_close_matches(str(word), names, 1, 0.65)
    if near:
        return f"; did you mean `{near[0]}`?"
    return "; known: " + ", ".join(f"`{name}`" for name in names) if names else ""
