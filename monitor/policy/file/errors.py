"""The faults of a policy file: every fault with its position, all in one error.

PolicyError (ValueError)
    carries `PolicyFault`s, sorted by position
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from monitor.policy.file.fault_wording import NO_HINT, enumerated, fault_text
from monitor.text.bilingual import Bilingual
from monitor.text.masking import visible


@dataclass(frozen=True, slots=True, order=True)
class PolicyFault:
    """One fault. ``line`` and ``column`` count from 1, the column in code points.

    ``message`` is English; ``message_zh`` is the same in Chinese, empty if what was read is no policy.
    """

    file: str
    line: int
    column: int
    message: str
    message_zh: str = field(default="", compare=False)

    @classmethod
    def worded(cls, file: str, line: int, column: int, message: Bilingual) -> "PolicyFault":
        """A fault with its message in both languages."""
        return cls(file, line, column, message.en, message.zh)

    @property
    def both(self) -> Bilingual:
        """The message in both languages, in English alone if there is no Chinese one."""
        return Bilingual(self.message_zh or self.message, self.message)

    def __str__(self) -> str:
        return f"{visible(self.file)}:{self.line}:{self.column}: {visible(self.message)}"


class PolicyError(ValueError):
    """A policy that cannot be used. ``faults`` are all of its faults, sorted by position, without duplicates."""

    def __init__(self, faults: Iterable[PolicyFault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """``"; did you mean `x`?"`` for a near miss, else the list of all known names."""
    return near_miss(word, known).en


def near_miss(word: object, known: Iterable[str]) -> Bilingual:
    """`did_you_mean` in both languages."""
    names = list(known)
    near = difflib.get_close_matches(str(word).lower().replace("-", "_"), names, 1, 0.65)
    near = near or difflib.get_close_matches(str(word), names, 1, 0.65)
    if near:
        return fault_text("did_you_mean", word=near[0])
    return fault_text("known", names=enumerated(names)) if names else NO_HINT
