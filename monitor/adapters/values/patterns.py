"""Regular expressions whose cost is linear in the text: patterns are the operator's, the text is anybody's.

Python's engine backtracks: for some patterns its time is exponential in the text. Here a pattern runs on all of its
alternatives at once, one character after the other, and gives the match that Python's engine gives.
"""

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

MAX_TEXT: Final = 1_024
"""Of a longer text, `LinearPattern.search` reads the beginning; `LinearPattern.fullmatch` does not match it."""

_MOST_STEPS: Final = 2_000
# The parser of the standard library: public in all but its name.
_parser: Any = import_module("re._parser")
_op: Any = import_module("re._constants")

_CHAR, _SPLIT, _SAVE, _AT, _MATCH = range(5)

Step = tuple[int, Any, Any]
Groups = tuple[int, ...]


class PatternError(ValueError):
    """Not a regular expression, or one that needs more than linear time."""


class LinearPattern:
    """A compiled pattern; equal to another one of the same text. ``groups`` are the names of its groups."""

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            compiled = re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise PatternError(f"expected a regular expression: {error}") from None
        self.groups = tuple(compiled.groupindex)
        self._numbers = compiled.groupindex
        tree = _parser.parse(text)
        compiler = _Compiler(compiled.groups)
        compiler.sequence(tree, tree.state.flags)
        compiler.steps.append((_MATCH, None, None))
        self._steps = compiler.steps
        self._empty: Groups = (-1,) * (2 * compiled.groups + 2)
        # With one repeat of one character Python's engine is at worst quadratic, and faster by far.
        self._quick = compiled if compiler.repeats <= 1 and not compiler.nested else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinearPattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def fullmatch(self, text: str) -> bool:
        """Whether the pattern matches all of ``text``."""
        if len(text) > MAX_TEXT:
            return False
        if self._quick is not None:
            return self._quick.fullmatch(text) is not None
        return self._run(text, anchored=True) is not None

    def search(self, text: str) -> dict[str, str] | None:
        """The named groups of the first match in ``text``, "" for a group that took no part; None without a match."""
        text = text[:MAX_TEXT]
        if self._quick is not None:
            found = self._quick.search(text)
            return None if found is None else {name: found[name] or "" for name in self.groups}
        at = self._run(text, anchored=False)
        if at is None:
            return None
        return {
            name: text[at[2 * n] : at[2 * n + 1]] if at[2 * n + 1] >= 0 else "" for name, n in self._numbers.items()
        }

    def _run(self, text: str, *, anchored: bool) -> Groups | None:
        """The positions of the groups of the first match, else None; ``anchored``: the match is the whole text."""
        steps, end = self._steps, len(text)
        found: Groups | None = None
        threads: list[tuple[int, Groups]] = []
        reached: set[int] = set()
        for at in range(end + 1):
            if found is None and (at == 0 or not anchored):
                self._follow(0, self._empty, text, at, threads, reached)
            following: list[tuple[int, Groups]] = []
            reached = set()
            char = text[at] if at < end else ""
            for place, groups in threads:
                kind, first, _ = steps[place]
                if kind == _MATCH:
                    if anchored and at < end:
                        continue
                    found = groups
                    break  # the other threads stand behind this one
                if char and first[char]:
                    self._follow(place + 1, groups, text, at + 1, following, reached)
            threads = following
            if not threads and (found is not None or anchored):
                break
        return found

    def _follow(
        self, place: int, groups: Groups, text: str, at: int, threads: list[tuple[int, Groups]], reached: set[int]
    ) -> None:
        """Add the steps that wait for a character, reached from ``place`` without one, the preferred first."""
        steps = self._steps
        open_ = [(place, groups)]
        while open_:
            place, groups = open_.pop()
            if place in reached:
                continue
            reached.add(place)
            kind, first, second = steps[place]
            if kind == _SPLIT:
                if second is not None:
                    open_.append((second, groups))
                open_.append((first, groups))
            elif kind == _SAVE:
                open_.append((place + 1, (*groups[:first], at, *groups[first + 1 :])))
            elif kind == _AT:
                if first(text, at):
                    open_.append((place + 1, groups))
            else:
                threads.append((place, groups))


class _Compiler:
    """Turns the parser's tree into steps."""

    def __init__(self, groups: int) -> None:
        self.steps: list[Step] = []
        self.repeats = 0
        self.nested = False
        self._groups = groups

    def sequence(self, items: Any, flags: int) -> None:
        for kind, value in items:
            if len(self.steps) > _MOST_STEPS:
                raise PatternError(f"expected a pattern of at most {_MOST_STEPS:,} steps; write smaller repeats")
            self._one(kind, value, flags)

    def _one(self, kind: Any, value: Any, flags: int) -> None:
        if kind in (_op.LITERAL, _op.NOT_LITERAL, _op.ANY, _op.IN):
            self.steps.append((_CHAR, _Chars(_test(kind, value, flags)), None))
        elif kind is _op.SUBPATTERN:
            group, added, removed, inner = value
            if group is not None:
                self.steps.append((_SAVE, 2 * group, None))
            self.sequence(inner, (flags | added) & ~removed)
            if group is not None:
                self.steps.append((_SAVE, 2 * group + 1, None))
        elif kind is _op.BRANCH:
            self._branch(value[1], flags)
        elif kind in (_op.MAX_REPEAT, _op.MIN_REPEAT):
            self._repeat(value, flags, greedy=kind is _op.MAX_REPEAT)
        elif kind is _op.AT:
            self.steps.append((_AT, _place(value, flags), None))
        else:
            raise PatternError(
                "expected a pattern without look-around, back references and possessive repeats, "
                f"got {str(kind).lower()}: its time would not be linear"
            )

    def _branch(self, branches: Any, flags: int) -> None:
        self.nested = True
        ends = []
        for n, branch in enumerate(branches):
            last = n == len(branches) - 1
            split = len(self.steps)
            if not last:
                self.steps.append((_SPLIT, split + 1, None))
            self.sequence(branch, flags)
            if not last:
                ends.append(len(self.steps))
                self.steps.append((_SPLIT, None, None))
                self.steps[split] = (_SPLIT, split + 1, len(self.steps))
        for end in ends:
            self.steps[end] = (_SPLIT, len(self.steps), None)

    def _repeat(self, value: Any, flags: int, *, greedy: bool) -> None:
        least, most, inner = value
        if least != most:
            self.repeats += 1
            self.nested = self.nested or len(inner) != 1 or inner[0][0] not in (_op.LITERAL, _op.ANY, _op.IN)
        for _ in range(least):
            self.sequence(inner, flags)
        if most is _op.MAXREPEAT:
            start = len(self.steps)
            self.steps.append((_SPLIT, None, None))
            self.sequence(inner, flags)
            self.steps.append((_SPLIT, start, None))
            self._split(start, len(self.steps), greedy)
            return
        starts = []
        for _ in range(most - least):
            starts.append(len(self.steps))
            self.steps.append((_SPLIT, None, None))
            self.sequence(inner, flags)
        for start in starts:
            self._split(start, len(self.steps), greedy)

    def _split(self, start: int, end: int, greedy: bool) -> None:
        self.steps[start] = (_SPLIT, start + 1, end) if greedy else (_SPLIT, end, start + 1)


class _Chars(dict[str, bool]):
    """Whether a character is one of a set; each is tested once."""

    def __init__(self, test: Callable[[str], bool]) -> None:
        super().__init__()
        self._test = test

    def __missing__(self, char: str) -> bool:
        found = self._test(char)
        if len(self) < 1_000:
            self[char] = found
        return found


def _test(kind: Any, value: Any, flags: int) -> Callable[[str], bool]:
    if kind is _op.ANY:
        return (lambda char: True) if flags & re.DOTALL else (lambda char: char != "\n")
    if kind is _op.NOT_LITERAL:
        kind, value = _op.IN, [(_op.NEGATE, None), (_op.LITERAL, value)]
    elif kind is _op.LITERAL:
        value = [(_op.LITERAL, value)]
    negated = value[0][0] is _op.NEGATE
    tests = [_member(each, item, flags) for each, item in (value[1:] if negated else value)]

    def test(char: str) -> bool:
        same = (char, char.lower(), char.upper()) if flags & re.IGNORECASE else (char,)
        return any(one(each) for one in tests for each in same) is not negated

    return test


def _member(kind: Any, value: Any, flags: int) -> Callable[[str], bool]:
    if kind is _op.LITERAL:
        return lambda char: len(char) == 1 and ord(char) == value
    if kind is _op.RANGE:
        low, high = value
        return lambda char: len(char) == 1 and low <= ord(char) <= high
    kind_of = {
        _op.CATEGORY_DIGIT: r"\d",
        _op.CATEGORY_NOT_DIGIT: r"\D",
        _op.CATEGORY_SPACE: r"\s",
        _op.CATEGORY_NOT_SPACE: r"\S",
        _op.CATEGORY_WORD: r"\w",
        _op.CATEGORY_NOT_WORD: r"\W",
    }
    one = re.compile(kind_of[value], flags & re.ASCII)
    return lambda char: one.fullmatch(char) is not None


def _place(kind: Any, flags: int) -> Callable[[str, int], bool]:
    if (kind is _op.AT_BEGINNING and not flags & re.MULTILINE) or kind is _op.AT_BEGINNING_STRING:
        return lambda text, at: at == 0
    if kind is _op.AT_BEGINNING:
        return lambda text, at: at == 0 or text[at - 1] == "\n"
    if kind is _op.AT_END_STRING:
        return lambda text, at: at == len(text)
    if kind is _op.AT_END:
        last = bool(flags & re.MULTILINE)
        return lambda text, at: at == len(text) or (text[at] == "\n" and (last or at == len(text) - 1))
    word = re.compile(r"\w", flags & re.ASCII)
    wanted = kind is _op.AT_BOUNDARY

    def boundary(text: str, at: int) -> bool:
        before = at > 0 and word.fullmatch(text[at - 1]) is not None
        after = at < len(text) and word.fullmatch(text[at]) is not None
        return (before != after) is wanted

    return boundary
