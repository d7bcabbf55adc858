"""Files that may contain unmasked telephone numbers: created so that only their owner can read them."""

import os
from pathlib import Path
from typing import BinaryIO, Final, Literal

_FILE: Final = 0o600
_FOLDER: Final = 0o700


def make_folder(folder: Path) -> None:
    """Create ``folder``, and its parents as usual; an existing one keeps its permissions. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=_FOLDER, exist_ok=True)


def open_private(path: Path, mode: Literal["wb", "xb"] = "wb") -> BinaryIO:
    """Open for writing. A new file has mode 0600 less the umask; an existing one keeps its permissions. Raises
    OSError."""
    return open(path, mode, opener=_opened)


def make_private(path: Path) -> None:
    """Create an empty file for others to fill; an existing one is unchanged. Raises OSError."""
    os.close(_opened(str(path), os.O_CREAT | os.O_WRONLY))


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, _FILE)
