"""What commands are given: policies, formats, times. A fault ends the command with exit status 2."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import typer

from streams.cli.fatal import say

if TYPE_CHECKING:
    from monitor.adapters.base import Adapter
    from monitor.policy.model import Policy
    from monitor.text.display import Display
    from streams.settings.load import Settings


_WRONG_PATH = (FileNotFoundError, IsADirectoryError, NotADirectoryError, FileExistsError)


# A live source is at most this far ahead of its clock (the worker's `max_ahead`); so is a file of the run's.
_MAX_AHEAD_MS = 300_000
_END_OF_9999_MS = 253_402_300_800_000
_LONGEST_TEXT = 4_096  # characters, by the contract: workers refuse a command or review with a longer one


def fail(message: str, status: int = 2) -> NoReturn:
    """Print the error and end with that exit status; 2 is wrong usage or policy."""
    say(message, status)
    raise typer.Exit(status)


def policy_for(path: str | None) -> "Policy":
    """The policy of that file, or the built-in one."""
    from monitor.policy.file.errors import PolicyError
    from monitor.policy.load import load

    try:
        return load(path)
    except PolicyError as error:
        fail(str(error))


def settings_for(options: dict[str, object]) -> "Settings":
    """The settings; those options of the command line that are not None take precedence."""
    from streams.settings.load import SettingsError, load

    try:
        return load(options)
    except SettingsError as error:
        fail(str(error))


def display_setting() -> "Display":
    """How records are shown. Without any setting, pydantic is not loaded for it, which takes a third of a start."""
    from monitor.text.display import DEFAULT
    from streams.settings.sources import none_given

    return DEFAULT if none_given() else settings_for({}).display


def describe_os_error(error: OSError) -> tuple[str, int]:
    """The message for a path that cannot be read or written, and the exit status: 2 if the path is wrong, else 1."""
    status = 2 if isinstance(error, _WRONG_PATH) else 1
    if error.strerror is None:
        return str(error), status
    name = f"{error.filename}: " if error.filename is not None else ""
    return f"{name}{error.strerror[:1].lower()}{error.strerror[1:]}", status


def checked_reason(given: str) -> str:
    """The value of ``--reason``, which must be neither empty nor longer than a text may be."""
    if not given.strip():
        fail("--reason: expected a reason; it is stored")
    return _checked_length("--reason", given)


def _checked_length(option: str, given: str) -> str:
    if len(given) > _LONGEST_TEXT:
        fail(f"{option}: expected at most {_LONGEST_TEXT:,} characters, got {len(given):,}")
    return given


def adapter_for(name_or_path: str, constants: list[str]) -> "Adapter":
    """The adapter of ``--format``, with the constants of ``--set``."""
    from monitor.adapters.errors import MappingError
    from monitor.adapters.shipped import open_adapter

    try:
        return open_adapter(name_or_path, _pairs(constants))
    except MappingError as error:
        fail(str(error))


def _pairs(constants: list[str]) -> dict[str, str]:
    pairs = {}
    for constant in constants:
        field, equals, value = constant.partition("=")
        if not equals:
            fail(f"--set {constant}: expected FIELD=VALUE")
        pairs[field] = value
    return pairs


class FormattedFiles(NamedTuple):
    """Files, the adapter of each (None for a file of records), and the mapping files that were read for them."""

    files: list[str]
    adapters: "list[Adapter | None]"
    mappings: list[str]


def files_or_topics(
    files: list[str] | None,
    from_topics: bool,
    bootstrap: str | None,
    formats: list[str] | None,
    constants: list[str] | None,
    not_after: str | None,
) -> FormattedFiles:
    """The files of a command that reads files or, with ``--from-topics``, the input topics: none in that case."""
    of_files = {"FILE": files, "--format": formats, "--set": constants, "--not-after": not_after}
    misplaced = of_files if from_topics else {"--bootstrap": bootstrap}
    if given := [option for option, value in misplaced.items() if value]:
        fail(f"{', '.join(given)}: {'not with' if from_topics else 'only with'} --from-topics")
    found = formatted_files(files or [], formats or [], constants or [])
    if not from_topics and not found.files:
        fail("no records: expected FILE..., or --from-topics")
    return found


def formatted_files(files: Iterable[str], formats: list[str], constants: list[str]) -> FormattedFiles:
    """The files of a command, with the formats that ``--format`` gives to all or to single ones.

    A file may be named as FORMAT=FILE, too, behind a ``--format`` that does so.
    """
    own: dict[str, str] = {}
    general = [form for form in formats if "=" not in form or Path(form).exists()]
    for form in formats:
        if form not in general:
            name, _, file = form.partition("=")
            own[file] = name
    if len(general) > 1:
        fail(f"--format: expected one format for all files, or FORMAT=FILE, got {' and '.join(general)}")
    names: list[str] = []
    for given in files:
        name, equals, file = given.partition("=")
        if own and equals and not Path(given).exists() and _is_format(name):
            own[file] = name
            given = file
        names.append(given)
    names = [*(file for file in own if file not in names), *names]
    of = [own.get(name, general[0] if general else None) for name in names]
    if constants and not any(of):
        fail("--set: expected only with --format")
    adapters = _adapters({form for form in of if form is not None}, constants)
    return FormattedFiles(names, [None if form is None else adapters[form] for form in of], _mapping_files(adapters))


def _is_format(name: str) -> bool:
    from monitor.adapters.shipped import NAMES

    return name in NAMES or Path(name).is_file()


def _mapping_files(forms: Iterable[str]) -> list[str]:
    """Those formats that are none of the shipped ones."""
    if not (given := list(forms)):
        return []
    from monitor.adapters.shipped import NAMES

    return [form for form in given if form not in NAMES]


def _adapters(forms: set[str], constants: list[str]) -> "dict[str, Adapter]":
    """The adapter of each format. With several, each takes the constants that it knows; one must know each."""
    if len(forms) <= 1:
        return {form: adapter_for(form, constants) for form in forms}
    from monitor.adapters.shipped import constant_names

    known = {form: constant_names(form) for form in sorted(forms)}
    for constant in constants:
        if not any(constant.partition("=")[0] in names for names in known.values()):
            fail(f"--set {constant}: expected a field or a setting of one of the formats {', '.join(known)}")
    return {
        form: adapter_for(form, [constant for constant in constants if constant.partition("=")[0] in names])
        for form, names in known.items()
    }


@contextmanager
def reading(files: Iterable[object]) -> Iterator[None]:
    """While ``files`` are read: a missing file, or one that the adapter does not fit, ends the command."""
    from monitor.adapters.errors import MappingError

    try:
        yield
    except MappingError as error:
        fail(str(error))
    except FileNotFoundError as error:
        hint = "; expected a file of records, or - for standard input" if error.filename in map(str, files) else ""
        fail(f"{error.filename}: no such file{hint}")


def operator_name(option: str, given: str | None) -> str:
    """The name given by ``option``, with telephone numbers masked, else the login name."""
    import getpass

    from monitor.text.masking import mask_text

    if given is not None:
        if not given.strip():
            fail(f"{option}: expected a name")
        return mask_text(_checked_length(option, given))
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # such as in a container whose user has no name
        fail(f"{option}: expected a name; there is no login name")


def duration(option: str, text: str) -> int:
    """A duration of the command line, such as 90s or 10m, in ms."""
    from monitor.text.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        fail(f"{option}: {error}")


def parse_time(option: str, text: str, *, open_end: bool = False) -> int:
    """A time of the command line, RFC 3339 or epoch ms, as epoch ms; 0 is before all.

    ``open_end``: a time after 2099, up to the year 9999, is after all.
    """
    from monitor.text.timestamps import parse_moment
    from schemas.inputs import END_MS, MIN_MS

    try:
        at_ms = parse_moment(text)
    except ValueError as error:
        fail(f"{option} {text}: {error}")
    if at_ms and not MIN_MS <= at_ms < (_END_OF_9999_MS if open_end else END_MS):
        fail(f"{option} {text}: expected a time in the years 1990 to 2099; epoch times are in milliseconds")
    return at_ms


def latest_event_ms(not_after: str | None) -> int:
    """The time of ``--not-after``; records of a later event time are rejected."""
    from streams.runtime.wall_clock import epoch_ms

    return epoch_ms() + _MAX_AHEAD_MS if not_after is None else parse_time("--not-after", not_after, open_end=True)
