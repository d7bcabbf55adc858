"""A policy text as nodes that know from where to where they stand in the text."""

from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from monitor.policy.file.yaml_source import MAX_BYTES, MAX_DEPTH


class NotEditable(ValueError):
    """A text that cannot be edited this way, although it may be a valid policy: edit it by hand."""


@dataclass(slots=True)
class Node:
    """A scalar, or a list or map of ``items`` (in a map, keys and values alternate), at ``text[start:end]``.

    ``flow``: written in brackets. ``alias``: it stands for a value that is written elsewhere.
    """

    kind: str
    start: int
    end: int
    column: int
    value: str = ""
    flow: bool = False
    alias: bool = False
    items: list["Node"] = field(default_factory=list)

    def pairs(self) -> list[tuple["Node", "Node"]]:
        """The keys and values of a map."""
        return list(zip(self.items[::2], self.items[1::2], strict=True))

    def pair(self, key: str) -> tuple["Node", "Node"] | None:
        """The key and value of that name."""
        return next((pair for pair in self.pairs() if pair[0].value == key), None)


def compose(text: str) -> Node:
    """The root of the text, a map. Raises NotEditable."""
    if len(text) > MAX_BYTES:
        raise NotEditable("the text is too long")
    roots: list[Node] = []
    stack: list[Node] = []
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            what = type(event).__name__
            if what in ("MappingEndEvent", "SequenceEndEvent"):
                closed = stack.pop()
                # The end of a block is where the next token begins, behind comments; that of its last value is wanted.
                closed.end = (
                    event.end_mark.index if closed.flow else max(closed.start, *(n.end for n in closed.items), 0)
                )
            elif what in ("ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"):
                node = _node(event, what, text)
                (stack[-1].items if stack else roots).append(node)
                if what in ("MappingStartEvent", "SequenceStartEvent"):
                    stack.append(node)
                if len(stack) > MAX_DEPTH:
                    raise NotEditable("nested too deeply")
    except YAMLError as error:
        raise NotEditable("not YAML") from error
    if len(roots) != 1 or roots[0].kind != "map":
        raise NotEditable("not one mapping")
    return roots[0]


def _node(event: Any, what: str, text: str) -> Node:
    start, end = event.start_mark.index, event.end_mark.index
    if what == "AliasEvent":
        return Node("scalar", start, end, event.start_mark.column, alias=True)
    if what == "ScalarEvent":
        # A block scalar ends behind its last line feed.
        while end > start and text[end - 1] in " \n\r":
            end -= 1
        return Node("scalar", start, end, event.start_mark.column, event.value)
    kind = "map" if what == "MappingStartEvent" else "list"
    return Node(kind, start, end, event.start_mark.column, flow=bool(event.flow_style))
