"""The adapters shipped by name, and the entry point to them and to mapping files."""

import inspect
import io
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final

from monitor.adapters import bank
from monitor.adapters.assembled import AssembledAdapter
from monitor.adapters.base import Adapter, InputRow
from monitor.adapters.errors import MappingError, RowErrorCode, quoted_value
from monitor.adapters.lines import bounded_lines
from monitor.adapters.mapped import MappedAdapter, must_not_have_more
from monitor.adapters.mapping.read import RECORDS, mapping_of, parse_mapping, read_mapping, record_fields
from monitor.adapters.mapping.settings import setting_names
from monitor.adapters.mapping.spec import ROW, Mapping
from monitor.adapters.mapping_wording import NO_HINT, mapping_text
from monitor.adapters.rows.csv_rows import CsvRows
from monitor.adapters.values.pseudonym import key_from
from monitor.adapters.versioned import VersionedAdapter
from monitor.policy.file.errors import PolicyFault, near_miss
from monitor.policy.file.yaml_source import YamlSource, parse
from monitor.text.bilingual import Bilingual
from schemas.inputs import Cdr

# For a name with several mappings, the first whose columns are all in the file's header is used.
_OF_CALLS: Final = (
    *("3cx", "amazon-connect", "asterisk-cel", "asterisk-csv", "bandwidth", "freeswitch-csv", "freeswitch-json"),
    *("genesys", "kamailio-acc", "kamailio-cdrs", "opensips-acc", "plivo", "tccc", "telnyx", "twilio"),
    *("twilio-events", "vonage"),
)
_MAPPINGS: Final = {
    "ftc-dnc": ("ftc-dnc-full.yaml", "ftc-dnc-day.yaml"),
    **{name: (f"{name}.yaml",) for name in _OF_CALLS},
}
NAMES: Final = (*sorted((*_MAPPINGS, bank.NAME)),)


def open_adapter(name: str, constants: dict[str, str] | None = None, key: bytes | None = None) -> Adapter:
    """The adapter shipped as ``name``, or that of the mapping file at the path ``name``.

    ``constants`` (field to text, from the command line's ``--set``) replace the mapping's entries for these fields.
    ``key`` is the key of pseudonyms (default: `pseudonym.key_from`). Raises `MappingError` with every fault.
    """
    constants, key = constants or {}, key or key_from()
    if name == bank.NAME:
        return bank.BankAdapter(key, _checked(constants))
    if name in _MAPPINGS:
        mappings = [mapping_of(_shipped(file), constants) for file in _MAPPINGS[name]]
        return _adapter_of(mappings[0], key) if len(mappings) == 1 else ByHeader(mappings, key)
    path = Path(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        message = mapping_text("not_utf_8", place=error.start + 1)
        raise MappingError([PolicyFault.worded(name, 1, 1, message)]) from None
    except OSError as error:
        near = near_miss(name, NAMES) if path.suffix not in (".yaml", ".yml", ".json") else NO_HINT
        message = mapping_text("no_file", why=error.strerror or error, hint=near)
        raise MappingError([PolicyFault.worded(name, 1, 1, message)]) from None
    return _adapter_of(read_mapping(text, name, constants), key)


def _adapter_of(mapping: Mapping, key: bytes) -> Adapter:
    if mapping.events is not None:
        return AssembledAdapter(mapping, mapping.events, key)
    if mapping.versions is not None and mapping.versions.settle_ms:
        return VersionedAdapter(mapping, mapping.versions, key)
    return MappedAdapter(mapping, key)


def constant_names(name: str) -> frozenset[str]:
    """The fields and settings that ``--set`` may give to the format ``name``; of a file that is no mapping, none."""
    if name == bank.NAME:
        return frozenset(record_fields(Cdr))
    try:
        if name in _MAPPINGS:
            data = _shipped(_MAPPINGS[name][0]).data
        else:
            data = parse(Path(name).read_text(encoding="utf-8-sig"), name).data
    except (OSError, ValueError):
        return frozenset()
    record = RECORDS.get(data.get("record", "")) if isinstance(data, dict) else None
    return frozenset((*setting_names(data), *(record_fields(record) if record else ())))


def about(name: str) -> str:
    """A one-line description of a shipped adapter."""
    if name == bank.NAME:
        return bank.ABOUT
    file = _MAPPINGS[name][-1]
    return mapping_of(_shipped(file)).about


def described(name: str) -> str:
    """A shipped adapter's mapping files, or a Python adapter's docstrings."""
    if name == bank.NAME:
        return f"{bank.__doc__}\n{inspect.getdoc(bank.BankAdapter)}\n"
    return "---\n".join(shipped_text(file) for file in _MAPPINGS[name])


@cache  # a service opens many again whenever the file of its sources changes, and most of that is parsing
def _shipped(file: str) -> YamlSource:
    return parse_mapping(shipped_text(file), file)


def shipped_text(file: str) -> str:
    """The text of a shipped mapping file."""
    return files("monitor.adapters").joinpath(file).read_text(encoding="utf-8")


class ByHeader:
    """Several mappings of one source: each file is read by the first whose columns are in its header."""

    def __init__(self, mappings: list[Mapping], key: bytes) -> None:
        self.mappings = mappings
        self._adapters = [MappedAdapter(mapping, key) for mapping in mappings]

    def read(self, document: bytes) -> list[InputRow]:
        """Like `MappedAdapter.read`."""
        return list(self.document_rows(document))

    def document_rows(self, document: bytes, most: int | None = None) -> Iterator[InputRow]:
        """Like `MappedAdapter.document_rows`."""
        must_not_have_more(document, "csv", most)
        try:
            chosen, _ = self.chosen(io.BytesIO(document))
        except MappingError as error:
            reason = f"{RowErrorCode.MALFORMED_ROW}: {error.faults[0].message}"
            return iter([InputRow(1, document, None, reason)])
        return chosen.document_rows(document, most)

    def rows(self, stream: BinaryIO) -> Iterator[InputRow]:
        """Like `MappedAdapter.rows`; raises `MappingError` if no mapping fits the header."""
        chosen, lines = self.chosen(bounded_lines(stream))
        return chosen.rows_of(lines)

    def chosen(self, stream: Iterator[bytes] | BinaryIO) -> tuple[MappedAdapter, Iterator[bytes]]:
        """The adapter for the file, and all of its lines, including the header."""
        head: list[bytes] = []
        for line in stream:
            head.append(line)
            if not line.isspace():
                break
        names = CsvRows(head, self.mappings[0].dialect, self.mappings[0].encoding).names
        for adapter in self._adapters:
            if not names or all(column in names or column == ROW for column in adapter.mapping.columns):
                return adapter, chain(head, stream)
        forms = [",".join(c for c in mapping.columns if c != ROW) for mapping in self.mappings]
        name = self.mappings[0].name
        header = quoted_value(",".join(names))
        message = mapping_text("other_header", header=header, forms=Bilingual(" 或 ".join(forms), " or ".join(forms)))
        raise MappingError([PolicyFault.worded(name, 1, 1, message)])


def _checked(constants: dict[str, str]) -> dict[str, str]:
    fields = record_fields(Cdr)
    faults = [
        PolicyFault.worded(
            f"{bank.NAME} --set", 1, 1, mapping_text("no_field", record="cdr", name=name, hint=near_miss(name, fields))
        )
        for name in constants
        if name not in fields
    ]
    if faults:
        raise MappingError(faults)
    return constants
