"""Files that may hold telephone numbers in clear: made so that their owner alone can read them."""

import os
from pathlib import Path
from typing import BinaryIO, Final, Literal

_FILE: Final = 0o600
_FOLDER: Final = 0o700


def make_folder(folder: Path) -> None:
    """Make ``folder``, and those above it as usual; one that is there keeps its permissions. OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=_FOLDER, exist_ok=True)


def open_private(path: Path, mode: Literal["wb", "xb"] = "wb") -> BinaryIO:
    """Open for writing. A new file is for its owner alone, and for less if the umask says so; one that is there keeps
    its permissions. OSError."""
    return open(path, mode, opener=_opened)


def make_private(path: Path) -> None:
    """Make an empty file, for others to fill; one that is there stays as it is. OSError."""
    os.close(_opened(str(path), os.O_CREAT | os.O_WRONLY))


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)
