"""The types of settings: each parses a text, or raises ValueError that states what is expected."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, SecretStr

from monitor.text.durations import format_duration, parse_duration
from monitor.text.timestamps import parse_moment

_YEAR_1990_MS: Final = 631_152_000_000
_YEAR_2100_MS: Final = 4_102_444_800_000
_LONGEST_TOPIC: Final = 249  # Kafka's limit
_OURS: Final = len("dead-letter")
_LONGEST_HOST: Final = 253
_MOST_NAME_BYTES: Final = 255  # of a file, on all usual file systems
_MOST_SHOWN: Final = 300
_LEAST_SECRET: Final = 16  # characters of a token


def duration(least: int, most: int) -> BeforeValidator:
    """A duration in the policy's notation, as ms from ``least`` to ``most``."""
    return BeforeValidator(_duration_reader(least, most))


def _duration_reader(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        ms = value if isinstance(value, int) else parse_duration(str(value).strip())
        if not least <= ms <= most:
            limits = f"{format_duration(least)} to {format_duration(most)}"
            raise ValueError(f"`{format_duration(ms)}` is not allowed; expected {limits}")
        return ms

    return read


def short_duration(least: int, most: int) -> BeforeValidator:
    """A `duration` that may also be given in milliseconds, as `500ms`."""
    read = _duration_reader(least, most)

    def read_ms(value: object) -> int:
        match = re.fullmatch("([0-9]{1,9})ms", str(value).strip())
        return read(int(match[1]) if match else value)

    return BeforeValidator(read_ms)


def whole(least: int, most: int) -> BeforeValidator:
    """A whole number from ``least`` to ``most``."""

    def read(value: object) -> int:
        text = str(value).strip()
        if not re.fullmatch("[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise ValueError(f"`{text}` is not allowed; expected a whole number from {least} to {most}")
        return int(text)

    return BeforeValidator(read)


def _moment(value: object) -> int | None:
    if value is None or isinstance(value, int):
        return value
    try:
        ms = parse_moment(str(value).strip())
    except ValueError as error:
        raise ValueError(f"`{value}` is not a time: {error}") from None
    if not _YEAR_1990_MS <= ms < _YEAR_2100_MS:
        raise ValueError(f"`{value}` is not allowed; expected a time in the years 1990 to 2099")
    return ms


def decimal(least: float, most: float) -> BeforeValidator:
    """A number from ``least`` to ``most``."""

    def read(value: object) -> float:
        text = str(value).strip()
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or not least <= float(text) <= most:
            raise ValueError(f"`{text}` is not allowed; expected a number from {least:g} to {most:g}")
        return float(text)

    return BeforeValidator(read)


def one_of(*choices: str, change: Callable[[str], str] = str.upper) -> BeforeValidator:
    """One of ``choices``; ``change`` normalizes the given word first."""

    def read(value: object) -> str:
        chosen = change(str(value).strip())
        if chosen not in choices:
            raise ValueError(f"`{value}` is unknown; expected one of {', '.join(choices)}")
        return chosen

    return BeforeValidator(read)


def _name(value: object) -> str:
    text = str(value)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,200}", text):
        raise ValueError(f"`{text}` is not a Kafka name; expected 1 to 200 of letters, digits, `.`, `_` and `-`")
    return text


def _topic_prefix(value: object) -> str:
    text, most = str(value), _LONGEST_TOPIC - _OURS
    if not re.fullmatch(rf"[A-Za-z0-9._-]{{0,{most}}}", text):
        raise ValueError(
            f"`{text}` cannot begin a topic's name; expected at most {most} of letters, digits, `.`, `_` and `-`"
        )
    return text


def _is_host_name(text: str) -> bool:
    """Whether a name can be looked up. Python raises no OSError for an empty or too long label, but a UnicodeError."""
    if not text.isascii():
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            return False
    return (
        len(text) <= _LONGEST_HOST and re.fullmatch(r"([A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?", text) is not None
    )


def _host(value: object) -> str:
    text = str(value).strip()
    if not _is_host_name(text) and not re.fullmatch(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%\w+)?", text):
        raise ValueError(f"`{text}` is not a host; expected the name or the address of one, such as 127.0.0.1")
    return text


def _servers(value: object) -> str:
    servers = [server.strip() for server in str(value).split(",")]
    for server in servers:
        host, _, port = server.rpartition(":")
        if (
            not re.fullmatch(r"[0-9]{1,5}", port)
            or not 0 < int(port) < 65536
            or not (re.fullmatch(r"\[[0-9A-Fa-f:.]+\]", host) or _is_host_name(host))
        ):
            raise ValueError(f"`{server}` is not a server; expected HOST:PORT, several separated by commas")
    return ",".join(servers)


def _file(value: object) -> Path | None:
    if value is None or value == "":
        return None
    path = Path(str(value))
    if not _succeeds(path.is_file):
        raise ValueError(f"{_shown(path)} is not an existing file; expected the path of a file")
    return path


def _appended(value: object) -> Path | None:
    if value is None or value == "":
        return None
    path = Path(str(value))
    if (
        _succeeds(path.is_dir)
        or not _succeeds(path.absolute().parent.is_dir)
        or len(os.fsencode(path.name)) > _MOST_NAME_BYTES
    ):
        raise ValueError(f"{_shown(path)} cannot be a file; expected a path in an existing folder")
    return path


def _succeeds(check: Callable[[], bool]) -> bool:
    """What a check of a path says; False if the system cannot look at it: its name is too long, or it may not."""
    try:
        return check()
    except OSError:
        return False


def _shown(path: Path) -> str:
    """The path, unless it may be a secret: the content of the file that was to be named."""
    text = str(path)
    if len(text.splitlines()) > 1:
        return "a text of several lines"
    if len(text) > _MOST_SHOWN or (len(text) >= _LEAST_SECRET and not set(text) & set("/\\.")):
        return f"`{text[:4]}…` of {len(text):,} characters"
    return f"`{text}`"


def _names_hosts(url: str) -> bool:
    """Whether each host that an address names can be looked up; it may name none, or several separated by commas."""
    found = re.match(r"[a-z]+://(?:[^:/]*(?::[^@]*)?@)?([^/?]*)", url)  # as SQLAlchemy reads it
    places = found[1].rpartition("@")[2].split(",") if found else []
    hosts = [re.sub(":[^:]*$", "", each) for each in places]
    return all(not each or each[0] in "[%" or _is_host_name(each) for each in hosts)


def _database(value: object) -> SecretStr:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if not re.fullmatch(r"sqlite:///(?!:memory:)[^?]+|postgresql://\S+", text) or not _names_hosts(text):
        # Not shown: it may hold a password.
        raise ValueError(
            "not the address of a database; expected sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
        )
    return SecretStr(text)


def _table_database(value: object) -> SecretStr | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
    form = r"sqlite:///(?!:memory:)[^?]+|(postgres|postgresql|mysql|mariadb)://\S+"
    if text and not (re.fullmatch(form, text) and _names_hosts(text)):
        # Not shown: it may hold a password.
        raise ValueError(
            "not the address of a database; expected postgresql://USER:PASSWORD@HOST/NAME, mysql://... or sqlite:///FILE"
        )
    return SecretStr(text) if text else None


def _web(value: object) -> SecretStr | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "").strip()
    if text and not re.fullmatch(r"https?://[^\s/?#]+([/?]\S*)?", text):
        raise ValueError("not a web address; expected https://HOST/PATH")  # not shown: it holds a key
    return SecretStr(text) if text else None


def _webs(value: object) -> SecretStr | None:
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value or "")
    addresses = [each.strip() for each in text.split(",") if each.strip()]
    for address in addresses:
        _web(address)
    return SecretStr(",".join(addresses)) if addresses else None


def _link(value: object) -> str | None:
    text = str(value or "").strip()
    if text and not (re.fullmatch(r"https?://\S+", text) and "{tenant}" in text):
        raise ValueError(f"`{text}` is not a link to a tenant; expected https://HOST/.../{{tenant}}")
    return text or None


def _recording_link(value: object) -> str | None:
    text = str(value or "").strip()
    if text and not (re.fullmatch(r"https?://\S+", text) and re.search(r"\{(recording|call)\}", text)):
        raise ValueError(
            f"`{text}` is not a link to a recording; expected https://HOST/.../{{recording}} or https://HOST/.../{{call}}"
        )
    return text or None


def _site(value: object) -> str | None:
    text = str(value or "").strip().rstrip("/")
    if not text:
        return None
    found = re.fullmatch(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?", text)
    if found is None or (found[3] is not None and not 0 < int(found[3]) < 65536):
        raise ValueError(
            f"`{text}` is not the address of a site; expected https://HOST or https://HOST:PORT, without a path"
        )
    if found[1] == "http" and not re.fullmatch(r"127\.[0-9.]+|localhost|\[::1\]", found[2]):
        raise ValueError(
            f"`{text}` would send passwords in clear; expected https://, or http:// with a loopback address"
        )
    return text


def _issuer(value: object) -> str | None:
    text = str(value or "").strip()
    if not text:
        return None
    if not re.fullmatch(r"https://[^\s?#]+|http://(127\.[0-9.]+|localhost|\[::1\])(:[0-9]{1,5})?(/[^\s?#]*)?", text):
        raise ValueError(
            f"`{text}` is not an issuer; expected https://HOST or https://HOST/PATH, as the provider writes it"
        )
    return text


def _role_mapping(value: object) -> str | None:
    text = str(value or "").strip()
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, equals, role = (part.strip() for part in each.rpartition("="))
        if not name or not equals or role not in CONSOLE_ROLES:
            raise ValueError(
                f"`{each}` gives no role; expected VALUE=ROLE, several separated by commas, with a ROLE of "
                f"{', '.join(CONSOLE_ROLES)}"
            )
    return text or None


def _program_pages(value: object) -> str | None:
    text = str(value or "").strip()
    for each in filter(None, (part.strip() for part in text.split(","))):
        name, _, address = (part.strip() for part in each.partition("="))
        if name not in PROGRAMS_WITH_PAGES or not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+", address):
            raise ValueError(
                f"`{each}` names no program; expected NAME=http://HOST:PORT, several separated by commas, with a NAME "
                f"of {', '.join(PROGRAMS_WITH_PAGES)}"
            )
    return text or None


PROGRAMS_WITH_PAGES: Final = ("worker", "billing", "ledger", "notify")
"""The programs whose health the console shows."""
CONSOLE_ROLES: Final = ("viewer", "reviewer", "policy_owner", "auditor", "admin")
"""The roles of the console's users."""
Partitioner = Literal["murmur2", "crc32"]
KafkaName = Annotated[str, BeforeValidator(_name)]
TopicPrefix = Annotated[str, BeforeValidator(_topic_prefix)]
Host = Annotated[str, BeforeValidator(_host)]
Servers = Annotated[str, BeforeValidator(_servers)]
Moment = Annotated[int | None, BeforeValidator(_moment)]
File = Annotated[Path | None, BeforeValidator(_file)]
AppendedFile = Annotated[Path | None, BeforeValidator(_appended)]
DatabaseUrl = Annotated[SecretStr, BeforeValidator(_database)]
TableDatabaseUrl = Annotated[SecretStr | None, BeforeValidator(_table_database)]
WebAddress = Annotated[SecretStr | None, BeforeValidator(_web)]
WebAddresses = Annotated[SecretStr | None, BeforeValidator(_webs)]
Link = Annotated[str | None, BeforeValidator(_link)]
RecordingLink = Annotated[str | None, BeforeValidator(_recording_link)]
SiteAddress = Annotated[str | None, BeforeValidator(_site)]
Issuer = Annotated[str | None, BeforeValidator(_issuer)]
ProgramPages = Annotated[str | None, BeforeValidator(_program_pages)]
RoleMapping = Annotated[str | None, BeforeValidator(_role_mapping)]
