"""A policy text as plain data in which every key and value keeps its line and column.

YAML 1.2 with its core schema, so `22:30` stays text and `NO` is not false; JSON is a subset. Scalars are resolved
here and not by ruamel, whose resolver turns dates into objects and drops explicit tags.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from monitor.policy.file.errors import PolicyError, PolicyFault
from monitor.policy.file.fault_wording import NO_HINT, fault_text
from monitor.policy.file.yaml_problems import yaml_problem
from monitor.text.bilingual import Bilingual

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32
_KEPT_LENGTH, _KEPT = 40_000, 8  # characters, texts: at most 36 MB, if all values are of one character
MAX_VALUES = 200_000  # nested aliases could otherwise expand a small file without limit

Path = tuple[str | int, ...]
Mark = tuple[int, int]

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INF = re.compile(r"[-+]?\.(inf|Inf|INF)")
_NAN = {".nan", ".NaN", ".NAN"}
_UNLIKE_JSON = re.compile("[\t\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_STR_TAG = "tag:yaml.org,2002:str"
# White space, then a sign, a string or a word of valid JSON. A character that YAML takes otherwise matches nothing.
_JSON_TOKEN = re.compile(
    r"([ \r\n]*)(?:([][{},:])"
    r'|("(?:[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]+|\\.)*")|([-+.\w]+))'
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_WIDE_COLON = re.compile(r" *(?:- +)*[A-Za-z_][\w-]* *：", re.ASCII)  # after a key, not in a text
_LINE_END = re.compile(r"\r\n?|\n")
_LONGEST_JSON_KEY = 1_000  # with the space after it; a YAML reader takes a longer one for a value


@dataclass(frozen=True, slots=True)
class YamlSource:
    """A parsed text. ``keys`` and ``values`` map each path to its mark: (line, column), from 1."""

    name: str
    data: Any
    keys: Mapping[Path, Mark]
    values: Mapping[Path, Mark]


@dataclass(frozen=True, slots=True)
class YamlPath:
    """A path in a source: the position of a fault. ``hint`` is appended to the message of each fault."""

    source: YamlSource
    path: Path = ()
    hint: Bilingual = NO_HINT

    def child(self, *steps: str | int) -> "YamlPath":
        """The path ``steps`` further down."""
        return YamlPath(self.source, self.path + steps, self.hint)

    @property
    def mark(self) -> Mark:
        """Line and column of the value; if the path does not exist, those of the nearest value above it."""
        path = self.path
        while path not in self.source.values:
            path = path[:-1]
        return self.source.values[path]

    def fault(self, message: str | Bilingual) -> PolicyFault:
        """A fault at the value; if the path does not exist, at the nearest value above it."""
        return self._fault(self.mark, message)

    def key_fault(self, message: str | Bilingual) -> PolicyFault:
        """A fault at the key."""
        return self._fault(self.source.keys.get(self.path) or self.mark, message)

    def _fault(self, mark: Mark, message: str | Bilingual) -> PolicyFault:
        if isinstance(message, str):
            return PolicyFault(self.source.name, *mark, message + self.hint.en)
        return PolicyFault(self.source.name, *mark, message.en + self.hint.en, message.zh + self.hint.zh)


@dataclass(slots=True)
class _Node:
    """A scalar (``value`` is its data), or a list or map of ``items`` (in a map, keys and values alternate)."""

    kind: str
    mark: Mark
    value: Any = None
    items: list["_Node"] = field(default_factory=list)
    closed: bool = True


def parse(text: str, name: str) -> YamlSource:
    """``text`` as data with positions. Raises `PolicyError` if it is not one YAML 1.2 document."""
    if len(text) > MAX_BYTES:
        raise PolicyError([PolicyFault.worded(name, 1, 1, fault_text("too_long", most=MAX_BYTES))])
    root, faults = (_tree if len(text) > _KEPT_LENGTH else _kept_tree)(text, name)
    reader = _Reader(name, list(faults))
    data = reader.read(root, ())
    if reader.faults:
        raise PolicyError(reader.faults)
    return YamlSource(name, data, reader.keys, reader.values)


def _tree(text: str, name: str) -> tuple[_Node, list[PolicyFault]]:
    """The nodes of a text, and the faults that do not prevent reading it. Raises `PolicyError`."""
    text = _json_for_yaml(text.removeprefix("\ufeff"))
    faults: list[PolicyFault] = []
    try:
        root = _json_tree(text, name, faults) or _compose(text, name, faults)
    except MarkedYAMLError as error:
        raise PolicyError([*faults, _syntax_fault(error, text, name)]) from None
    except YAMLError as error:  # a forbidden character has a position but no mark
        raise PolicyError([*faults, _character_fault(error, text, name)]) from None
    if root is None:
        raise PolicyError([PolicyFault.worded(name, 1, 1, fault_text("empty"))])
    return root, faults


_kept_tree = lru_cache(maxsize=_KEPT)(_tree)  # nobody changes the nodes: data are read from them each time


def _json_for_yaml(text: str) -> str:
    """JSON in a form that a YAML reader parses to the same data; any other text unchanged.

    YAML forbids tabs as indentation; its reader rejects some characters and treats others as line ends. Valid JSON has
    tabs only outside strings, and those characters only inside strings, where their escapes mean the same.
    """
    if _UNLIKE_JSON.search(text) and _is_json(text):
        return _UNLIKE_JSON.sub(lambda found: " " if found[0] == "\t" else f"\\u{ord(found[0]):04x}", text)
    return text


def _syntax_fault(error: MarkedYAMLError, text: str, name: str) -> PolicyFault:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    # The reader takes such a line as text, and finds the fault in the next one.
    lines = _LINE_END.split(text)
    for number in (line - 1, line):
        if 0 < number <= len(lines) and (key := _WIDE_COLON.match(lines[number - 1])):
            return PolicyFault.worded(name, number, key.end(), fault_text("wide_colon"))
    problem = _one_line(error.problem or error.context or "syntax error")
    if "'\\t'" in problem:
        message = fault_text("tab")
    elif "expected a single document" in f"{error.context} {problem}":
        message = fault_text("second_document")
    else:
        message = fault_text("not_yaml", problem=yaml_problem(problem), context=_context(error, line))
    return PolicyFault.worded(name, line, column, message)


def _context(error: MarkedYAMLError, line: int) -> Bilingual:
    """What the parser was reading at a fault in ``line``; an open bracket or quote may be noticed many lines later."""
    if not (error.context and error.problem):
        return NO_HINT
    context, mark = yaml_problem(_one_line(error.context)), error.context_mark
    if mark is None or mark.line + 1 == line:
        return fault_text("yaml_context", context=context)
    return fault_text("yaml_context_since", context=context, line=mark.line + 1, column=mark.column + 1)


def _character_fault(error: YAMLError, text: str, name: str) -> PolicyFault:
    position = getattr(error, "position", None)
    if not isinstance(position, int):
        message = fault_text("not_yaml", problem=yaml_problem(_one_line(error)), context=NO_HINT)
        return PolicyFault.worded(name, 1, 1, message)
    before = text[:position]
    line = before.count("\n") + 1
    return PolicyFault.worded(name, line, position - before.rfind("\n"), fault_text("control_character"))


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split())


def _too_deep(name: str, mark: Mark) -> PolicyFault:
    return PolicyFault.worded(name, *mark, fault_text("too_deep", most=MAX_DEPTH))


def _events(text: str) -> Iterator[Any]:
    yaml = YAML(typ="safe", pure=True)
    yield from yaml.parse(text)


def _compose(text: str, name: str, faults: list[PolicyFault]) -> _Node | None:
    """The tree of nodes from the parser's events, built with a stack, so that depth needs no recursion."""
    roots: list[_Node] = []
    stack: list[_Node] = []
    anchors: dict[str, _Node] = {}
    for event in _events(text):
        what = type(event).__name__
        if what not in ("ScalarEvent", "AliasEvent", "MappingStartEvent", "SequenceStartEvent"):
            if what in ("MappingEndEvent", "SequenceEndEvent"):
                stack.pop().closed = True
            continue
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        if what == "AliasEvent":
            node = anchors.get(event.anchor) or _Node("scalar", mark)
            if event.anchor not in anchors:
                faults.append(PolicyFault.worded(name, *mark, fault_text("alias_not_defined", name=event.anchor)))
            elif not node.closed:
                faults.append(PolicyFault.worded(name, *mark, fault_text("alias_in_itself", name=event.anchor)))
                node = _Node("scalar", mark)
        else:
            node = _node(event, what, mark, name, faults)
            if event.anchor:
                anchors[event.anchor] = node
        if stack:
            stack[-1].items.append(node)
        else:
            roots.append(node)
        if what in ("MappingStartEvent", "SequenceStartEvent"):
            stack.append(node)
            if len(stack) > MAX_DEPTH:
                raise PolicyError([*faults, _too_deep(name, mark)])
    if len(roots) > 1:
        raise PolicyError([*faults, PolicyFault.worded(name, *roots[1].mark, fault_text("second_document"))])
    return roots[0] if roots and not (roots[0].kind == "scalar" and roots[0].value is None) else None


def _json_tree(text: str, name: str, faults: list[PolicyFault]) -> _Node | None:
    """What `_compose` makes of JSON, in a small part of its time. None: only `_compose` can tell."""
    if not _is_json(text):
        return None
    roots = _Node("list", (1, 1))
    stack, found = [roots], list[PolicyFault]()
    at, end, line, line_start, value_start = 0, len(text.rstrip(" \r\n")), 1, 0, 0
    while at < end:
        token = _JSON_TOKEN.match(text, at)
        if token is None:
            return None
        space, sign, quoted, word = token.groups()
        start, last_line = at + len(space), line
        for line_end in _LINE_END.finditer(space):
            line, line_start = line + 1, at + line_end.end()
        at = token.end()
        mark = (line, start - line_start + 1)
        if sign == ":" and (line > last_line or start - value_start > _LONGEST_JSON_KEY):
            return None
        if sign in (":", ","):
            continue
        if sign in ("}", "]"):
            stack.pop().closed = True
            continue
        value_start = start
        if sign:
            node = _Node("map" if sign == "{" else "list", mark, closed=False)
        else:
            node = _Node("scalar", mark, plain_scalar(word) if word else _text(_unquoted(quoted), mark, name, found))
        stack[-1].items.append(node)
        if sign:
            stack.append(node)
            if len(stack) - 1 > MAX_DEPTH:
                return None
    faults += found
    return roots.items[0]


def _unquoted(quoted: str) -> str:
    """The text of a string of JSON."""
    return str(json.loads(quoted)) if "\\" in quoted else quoted[1:-1]


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _node(event: Any, what: str, mark: Mark, name: str, faults: list[PolicyFault]) -> _Node:
    tag = str(event.tag) if event.tag is not None else None
    if what != "ScalarEvent":
        if tag not in (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            faults.append(PolicyFault.worded(name, *mark, fault_text("tag", tag=_shorthand(tag))))
        return _Node("map" if what == "MappingStartEvent" else "list", mark, closed=False)
    plain = event.implicit[0]
    if tag not in (None, "!", _STR_TAG):
        faults.append(PolicyFault.worded(name, *mark, fault_text("tag", tag=_shorthand(tag))))
    text = _text(event.value, mark, name, faults)
    return _Node("scalar", mark, plain_scalar(text) if plain and tag is None else text)


def _text(text: str, mark: Mark, name: str, faults: list[PolicyFault]) -> str:
    """A text without halves of surrogate pairs: where one stands alone, that is a fault."""
    if _SURROGATE.search(text):
        # JSON writes characters above U+FFFF as two escapes; together they are a character, alone they are invalid.
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            faults.append(PolicyFault.worded(name, *mark, fault_text("half_surrogate")))
    return text


def _shorthand(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")


def plain_scalar(text: str) -> str | int | float | bool | None:
    """What a text means that is written without quotes."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text) and len(text) <= 40:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INF.fullmatch(text):
        return -math.inf if text[0] == "-" else math.inf
    return math.nan if text in _NAN else text


class _Reader:
    """Converts nodes to data and records their positions; an alias is read again at each place that uses it."""

    def __init__(self, name: str, faults: list[PolicyFault]) -> None:
        self.name = name
        self.faults = faults
        self.keys: dict[Path, Mark] = {}
        self.values: dict[Path, Mark] = {}

    def read(self, node: _Node, path: Path) -> Any:
        if len(self.values) >= MAX_VALUES:
            message = fault_text("too_many_values", most=MAX_VALUES)
            raise PolicyError([*self.faults, PolicyFault.worded(self.name, *node.mark, message)])
        self.values[path] = node.mark
        if node.kind == "scalar":
            return node.value
        if len(path) > MAX_DEPTH:
            raise PolicyError([*self.faults, _too_deep(self.name, node.mark)])
        if node.kind == "list":
            return [self.read(item, (*path, n)) for n, item in enumerate(node.items)]
        return self._mapping(node, path)

    def _mapping(self, node: _Node, path: Path) -> dict[str, Any]:
        data: dict[str, Any] = {}
        for key, value in zip(node.items[::2], node.items[1::2], strict=True):
            problem = self._key_problem(key, data, path)
            if problem:
                self.faults.append(PolicyFault.worded(self.name, *key.mark, problem))
                continue
            self.keys[(*path, key.value)] = key.mark
            data[key.value] = self.read(value, (*path, key.value))
        return data

    def _key_problem(self, key: _Node, data: dict[str, Any], path: Path) -> Bilingual | None:
        if key.kind != "scalar":
            return fault_text("key_is_collection")
        if not isinstance(key.value, str):
            return fault_text("key_is_no_text", key=json.dumps(key.value))
        if key.value == "<<":
            return fault_text("merge_key")
        if key.value in data:
            line = self.keys[(*path, key.value)][0]
            return fault_text("key_twice", key=key.value, line=line)
        return None
