"""Changes single values of a YAML or JSON text; everything else in it stays as it is, to the byte."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from monitor.policy.edit.nodes import Node, NotEditable, compose

Scalar = str | int | float | bool | None
Value = Scalar | Mapping[str, Scalar] | Sequence[str | Mapping[str, Scalar]]

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*|[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]+[smhd]")
_RESERVED: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


class PolicyText:
    """A text whose values can be changed, one edit after the other. Raises NotEditable where it does not see how."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._json = _is_json(text)

    def set(self, path: Sequence[str | int], key: str, value: Value) -> None:
        """Set a field of the map at ``path``, which is added as the last one if it does not exist."""
        of = self._at(path)
        pair = of.pair(key)
        if pair is None:
            self._add_field(of, key, value)
            return
        name, old = pair
        colon = self._colon(name, old)
        self._apply([_Edit(colon + 1, max(old.end, colon + 1), f" {self._inline(value)}")])

    def remove(self, path: Sequence[str | int], key: str) -> None:
        """Remove a field of the map at ``path``, if it exists."""
        of = self._at(path)
        pairs = of.pairs()
        at = next((n for n, (name, _) in enumerate(pairs) if name.value == key), None)
        if at is None:
            return
        name, old = pairs[at]
        if at + 1 < len(pairs):
            following = pairs[at + 1][0].start
            if not of.flow and self._begins_line(name):
                self._apply([_Edit(self._line_start(name.start), self._next_line(old.end), "")])
            else:
                self._apply([_Edit(name.start, following, "")])
        elif at == 0:
            raise NotEditable("the only field")
        else:
            before = pairs[at - 1][1].end
            if of.flow:
                self._apply([_Edit(before, old.end, "")])
            else:
                self._apply([_Edit(self._line_end(before), self._line_end(old.end), "")])

    def append(self, section: str, item: Mapping[str, Value]) -> None:
        """Add an item to the list of a top-level section, which is created if it does not exist."""
        root = compose(self.text)
        pair = root.pair(section)
        if pair is None:
            self._add_section(root, section, self._block_item(item, 0), f"[{self._flow_map(item)}]")
            return
        name, of = pair
        if of.alias or of.kind != "list":
            raise NotEditable(f"`{section}` is not written as a list")
        if not of.items:
            self._fill(root, (name, of), self._block_item(item, name.column), f"[{self._flow_map(item)}]")
        elif of.flow:
            self._after_last(of, self._flow_map(item))
        elif of.items[-1].flow and not of.items[-1].alias:
            self._insert_lines(of.items[-1].end, [f"{' ' * of.column}- {self._flow_map(item)}"])
        else:
            self._insert_lines(of.items[-1].end, self._block_item(item, of.column))

    def put(self, section: str, name: str, item: Mapping[str, Value]) -> None:
        """Add a named entry to the map of a top-level section, which is created if it does not exist."""
        root = compose(self.text)
        pair = root.pair(section)
        entry = f"{self._key(name)}: {self._flow_map(item)}"
        if pair is None:
            self._add_section(root, section, self._block_entry(name, item, 2), f"{{{entry}}}")
            return
        key, of = pair
        if of.alias or of.kind != "map":
            raise NotEditable(f"`{section}` is not written as a mapping")
        if not of.items:
            self._fill(root, (key, of), self._block_entry(name, item, key.column + 2), f"{{{entry}}}")
        elif of.flow:
            self._after_last(of, entry)
        else:
            self._insert_lines(of.items[-1].end, self._block_entry(name, item, of.items[0].column))

    def take(self, section: str, at: int | str) -> None:
        """Remove an item of a section: by its number in a list, by its name in a map."""
        root = compose(self.text)
        pair = root.pair(section)
        if pair is None:
            raise NotEditable(f"there is no `{section}`")
        key, of = pair
        units = of.pairs() if of.kind == "map" else [(item, item) for item in of.items]
        number = at if isinstance(at, int) else next((n for n, (k, _) in enumerate(units) if k.value == at), -1)
        if of.alias or not 0 <= number < len(units):
            raise NotEditable(f"`{section}` has no such entry")
        first, last = units[number]
        if len(units) == 1:
            empty = "{}" if of.kind == "map" else "[]"
            if of.flow:
                self._apply([_Edit(of.start, of.end, empty)])
                return
            colon = self._colon(key, of)
            start, end = self._line_start(self._mark(of, first)), self._next_line(last.end)
            self._apply([_Edit(colon + 1, colon + 1, f" {empty}"), _Edit(start, end, "")])
        elif not of.flow:
            start, end = self._line_start(self._mark(of, first)), self._next_line(last.end)
            self._apply([_Edit(start, end, "")])
        elif number + 1 < len(units):
            self._apply([_Edit(first.start, units[number + 1][0].start, "")])
        else:
            self._apply([_Edit(units[number - 1][1].end, last.end, "")])

    # The text ----------------------------------------------------------------------------------------------------

    def _apply(self, edits: "list[_Edit]") -> None:
        for edit in sorted(edits, key=lambda one: -one.start):
            self.text = self.text[: edit.start] + edit.text + self.text[edit.end :]

    def _at(self, path: Sequence[str | int]) -> Node:
        node = compose(self.text)
        for step in path:
            if isinstance(step, int):
                node = node.items[step] if node.kind == "list" and step < len(node.items) else _missing()
            else:
                pair = node.pair(step) if node.kind == "map" else None
                node = pair[1] if pair else _missing()
        if node.kind != "map" or node.alias:
            raise NotEditable("it is not written as a mapping")
        return node

    def _colon(self, key: Node, value: Node) -> int:
        at = self.text.find(":", key.end)
        if at < 0 or at > value.start:
            raise NotEditable("there is no colon")
        return at

    def _line_start(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _line_end(self, at: int) -> int:
        """The end of the line of ``at``, before its line feed."""
        end = self.text.find("\n", at)
        end = len(self.text) if end < 0 else end
        return end - 1 if end > at and self.text[end - 1] == "\r" else end

    def _next_line(self, at: int) -> int:
        """Where the line after that of ``at`` begins."""
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end + 1

    def _begins_line(self, node: Node) -> bool:
        return not self.text[self._line_start(node.start) : node.start].strip()

    def _mark(self, of: Node, item: Node) -> int:
        """Where an item of a block begins: a list's at its dash, which must be the first thing of its line."""
        at = item.start
        if of.kind == "list":
            at = self.text.rfind("-", 0, item.start)
        if self.text[self._line_start(at) : at].strip():
            raise NotEditable("an entry that does not begin a line")
        return at

    def _fill(self, root: Node, pair: tuple[Node, Node], lines: Sequence[str], flow: str) -> None:
        """Give an empty section its first entry: as ``lines``, or as ``flow`` in a text in brackets."""
        key, of = pair
        if self.text[of.start + 1 : of.end - 1].strip():
            raise NotEditable("a comment in brackets")
        if root.flow:
            self._apply([_Edit(of.start, of.end, flow)])
            return
        end = self._line_end(of.end)
        self._apply([_Edit(self._colon(key, of) + 1, of.end, ""), _Edit(end, end, self._lines(lines))])

    def _lines(self, lines: Sequence[str]) -> str:
        feed = "\r\n" if "\r\n" in self.text else "\n"
        return "".join(f"{feed}{line}" for line in lines)

    def _insert_lines(self, after: int, lines: Sequence[str]) -> None:
        end = self._line_end(after)
        self._apply([_Edit(end, end, self._lines(lines))])

    def _after_last(self, of: Node, entry: str) -> None:
        """Add to a list or map in brackets, on a line of its own if its last entry has one."""
        first = of.items[-2] if of.kind == "map" else of.items[-1]
        end = of.items[-1].end
        trailing = re.match(r"\s*,", self.text[end : of.end])
        at = end + trailing.end() if trailing else end
        indent = first.start - self._line_start(first.start)
        space = f"\n{' ' * indent}" if self._begins_line(first) else " "
        self._apply([_Edit(at, at, ("" if trailing else ",") + space + entry)])

    def _add_field(self, of: Node, key: str, value: Value) -> None:
        if of.flow:
            self._after_last(of, f"{self._key(key)}: {self._inline(value)}")
            return
        column = of.items[0].column
        self._insert_lines(of.items[-1].end, [f"{' ' * column}{self._key(key)}: {self._inline(value)}"])

    def _add_section(self, root: Node, section: str, lines: Sequence[str], flow: str) -> None:
        if root.flow:
            self._after_last(root, f"{self._key(section)}: {flow}")
            return
        if root.items and root.items[0].column:
            raise NotEditable("the whole file is indented")
        if re.search(r"^(\.\.\.|---)", self.text[root.end :], re.MULTILINE):
            raise NotEditable("there is an end mark")
        feed = self._lines([""])
        before = "" if not self.text or self.text.endswith("\n") else feed
        self.text += f"{before}{section}:{self._lines(lines)}{feed}"

    # Values ------------------------------------------------------------------------------------------------------

    def _block_item(self, item: Mapping[str, Value], column: int) -> list[str]:
        lines = [f"{self._key(key)}: {self._inline(value)}" for key, value in item.items()]
        return [f"{' ' * column}{'- ' if n == 0 else '  '}{line}" for n, line in enumerate(lines)]

    def _block_entry(self, name: str, item: Mapping[str, Value], column: int) -> list[str]:
        lines = [f"{self._key(key)}: {self._inline(value)}" for key, value in item.items()]
        return [f"{' ' * column}{self._key(name)}:", *(f"{' ' * (column + 2)}{line}" for line in lines)]

    def _flow_map(self, item: Mapping[str, Value]) -> str:
        return "{" + ", ".join(f"{self._key(key)}: {self._inline(value)}" for key, value in item.items()) + "}"

    def _key(self, key: str) -> str:
        return self._scalar(key)

    def _inline(self, value: Value) -> str:
        if isinstance(value, Mapping):
            return self._flow_map(value)
        if isinstance(value, str) or not isinstance(value, Sequence):
            return self._scalar(value)
        return "[" + ", ".join(self._inline(each) for each in value) + "]"

    def _scalar(self, value: Scalar) -> str:
        if not isinstance(value, str):
            return json.dumps(value)
        if not self._json and _PLAIN.fullmatch(value) and value.lower() not in _RESERVED:
            return value
        quoted = json.dumps(value, ensure_ascii=False)
        return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


@dataclass(frozen=True, slots=True)
class _Edit:
    """Replaces ``text[start:end]``."""

    start: int
    end: int
    text: str


def _missing() -> Node:
    raise NotEditable("there is no such entry")


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] != "{":
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
