"""Which files are followed: names and patterns, and the names that rotation gives to them."""

import glob
import os
import stat
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Final, NamedTuple

COMPRESSED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip")
_MARKS: Final = ".-_"


class FoundFile(NamedTuple):
    """A file of a folder. ``stem``: the path that is followed; ``active``: it has that path itself."""

    path: str
    stem: str
    device: int
    inode: int
    size: int
    mtime_ns: int

    @property
    def active(self) -> bool:
        """Whether it is not a rotated one."""
        return self.path == self.stem


def active_paths(patterns: Iterable[str]) -> dict[str, list[str]]:
    """The existing files of each name and pattern, without compressed ones."""
    found: dict[str, list[str]] = {}
    for pattern in patterns:
        paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
        real = (os.path.realpath(path) for path in paths if not path.endswith(COMPRESSED))
        found[pattern] = [path for path in real if os.path.isfile(path)]
    return found


def is_of(pattern: str, paths: Iterable[str]) -> bool:
    """Whether a name or pattern may have one of the paths."""
    real = os.path.realpath(pattern)
    return any(PurePath(path).match(real) if glob.has_magic(real) else path == real for path in paths)


def found_files(active: Iterable[str], known: Mapping[str, str]) -> list[FoundFile]:
    """The files at the paths ``active``, at the paths ``known``, each with its stem, and the rotated ones of all:
    `NAME.1`, `NAME-20260302`. Files that cannot be looked at are left out.
    """
    paths = {**known, **{path: path for path in active}}
    folders: dict[str, list[str]] = {}
    for stem in dict.fromkeys([*paths.values()]):
        folder, name = os.path.split(stem)
        if folder not in folders:
            folders[folder] = sorted(_names(folder))
        names = folders[folder]
        for at in range(bisect_left(names, name), len(names)):
            if not names[at].startswith(name):
                break
            if _is_rotated(name, names[at]):
                paths.setdefault(os.path.join(folder, names[at]), stem)
    return [*_looked_at(paths)]


def compressed_of(stem: str) -> list[str]:
    """The gzip files that rotation has made of a path, the newest first."""
    folder, name = os.path.split(stem)
    names = (each for each in _names(folder) if each.startswith(name) and each.endswith(".gz"))
    return sorted((os.path.join(folder, each) for each in names), key=_mtime_ns, reverse=True)


def is_unreachable(path: str, device: int) -> bool:
    """Whether a file of that device may still be at ``path`` though it is not seen there: its file system is not
    mounted, or its folder cannot be read.
    """
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return True
    folder = os.path.dirname(path)
    try:
        os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):  # deleted with the file, unless what it was in is elsewhere, too
        while folder != (above := os.path.dirname(folder)) and not os.path.isdir(folder):
            folder = above
    except OSError:
        return True
    return _device(folder) != device


def _device(folder: str) -> int | None:
    try:
        return os.stat(folder).st_dev
    except OSError:
        return None


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _is_rotated(name: str, other: str) -> bool:
    return len(other) > len(name) and other[len(name)] in _MARKS and not other.endswith(COMPRESSED)


def _looked_at(paths: dict[str, str]) -> Iterator[FoundFile]:
    for path, stem in paths.items():
        try:
            status = os.stat(path)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield FoundFile(path, stem, status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _mtime_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
