"""Which files exist, which of them are known, and what became of others: rotated, truncated, copied, deleted."""

import gzip
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from streams.ingest.follow.files.chunks import end_of_lines
from streams.ingest.follow.files.fingerprint import HEAD, digest, head_of, tail_of
from streams.ingest.follow.files.names import FoundFile, active_paths, compressed_of, found_files, is_of, is_unreachable
from streams.ingest.follow.files.tailed_file import IDLE_S, TailedFile, is_copy
from streams.ingest.follow.follow_source import SourceBatch
from streams.ingest.follow.positions import BEGAN, BeganAtEnds, FilePosition

log = structlog.get_logger("callwarden")

_SETTLED_NS: Final = 20_000_000  # a time stamp of a folder is up to a tick of the kernel old
_TRIES: Final = 10

Place = tuple[int, int]


class FileSet:
    """The files of names and patterns. `scan` finds what has changed, as positions to write.

    With ``from_ends`` a follower without positions begins at the ends of the files that exist.
    """

    def __init__(self, patterns: Sequence[str], now_s: Callable[[], float], from_ends: bool = False) -> None:
        self.patterns = [os.path.abspath(each) for each in patterns]
        self._from_ends = from_ends
        self.began = False
        """Whether it has begun, at the ends or elsewhere."""
        self._now_s = now_s
        self.files: dict[str, TailedFile] = {}
        self.missing: list[str] = []
        """The names and patterns that no file has, nor one that was rotated since it was followed."""
        self.faults: dict[str, str] = {}
        """Why a file cannot be read, by its path."""
        self._unreachable: set[str] = set()

    def restore(self, positions: Mapping[str, FilePosition]) -> None:
        """Take over positions; the descriptors of known files stay open, for a deleted file cannot be opened again."""
        for of in [of for of in self.files if of not in positions]:
            self.files.pop(of).close()
        for of, position in positions.items():
            known = self.files.get(of)
            if known is None:
                known = self.files[of] = TailedFile(of, position, size=position.size, mtime_ns=position.mtime_ns)
                known.scanned_ns = position.mtime_ns
            known.position = position
            known.distrust()

    def scan(self) -> SourceBatch | None:
        """Look at all files; what has changed, if anything has."""
        now_s = self._now_s()
        self.faults.clear()
        found = self._found()
        known = {file.position.stem for file in self.files.values()}
        newest = self._newest()
        free = {(each.device, each.inode): each for each in found}
        batch = SourceBatch()
        at_ends = self._from_ends and not self.began
        unbound = [file for file in self.files.values() if not self._is_bound(file, free, now_s)]
        # A folder with a file that is followed is there, as it should be.
        folders = {os.path.dirname(each.path) for each in found}
        for file in unbound:
            if self._is_unreachable(file, folders):
                continue
            self._lost(batch, file, free, now_s)
        for each in sorted(free.values(), key=lambda each: each.mtime_ns):
            try:
                self._add(batch, each, each.stem in known, newest.get(each.stem, 0), now_s, at_ends)
            except OSError as error:
                self.faults[each.path] = error.strerror or str(error)
        if at_ends:
            if self.faults:  # wait until all can be read: a file found later would be read from its beginning
                self.restore({})
                return None
            batch.positions[BEGAN] = BeganAtEnds()
        for file in self.files.values():
            if file.found and not file.active and not file.left and now_s - file.grown_s > IDLE_S:
                file.close()
        return batch if batch.positions else None

    def _found(self) -> list[FoundFile]:
        """The files. A rotation under way would hide some: they are looked at again until their folders are settled."""
        for _ in range(_TRIES):
            by_pattern = active_paths(self.patterns)
            active = [*dict.fromkeys(path for paths in by_pattern.values() for path in paths)]
            known = {file.position.path: file.position.stem for file in self.files.values()}
            folders = {os.path.dirname(path) for path in (*active, *known, *known.values())}
            before = _times(folders)
            found = found_files(active, known)
            if _times(folders) == before and time.time_ns() - max(before.values(), default=0) > _SETTLED_NS:
                break
            time.sleep(_SETTLED_NS / 1e9)
        stems = {each.stem for each in found}
        # Between a rotation and its next call a switch has no active file.
        self.missing = [each for each, paths in by_pattern.items() if not paths and not is_of(each, stems)]
        return found

    def _newest(self) -> dict[str, int]:
        newest: dict[str, int] = {}
        for file in self.files.values():
            stem = file.position.stem
            newest[stem] = max(newest.get(stem, 0), file.scanned_ns)
        return newest

    def _is_bound(self, file: TailedFile, free: dict[Place, FoundFile], now_s: float) -> bool:
        try:
            return self._bind(file, free, now_s)
        except OSError as error:
            self.faults[file.position.path] = error.strerror or str(error)
            free.pop((file.position.device, file.position.inode), None)
            return True

    def _bind(self, file: TailedFile, free: dict[Place, FoundFile], now_s: float) -> bool:
        """Find a known file, and take it from ``free``. False if it, or its content, is not there any more."""
        position = file.position
        place = (position.device, position.inode)
        here = free.get(place)
        file.look(now_s)
        if file.fd is None and here is not None:
            changed = (here.size, here.mtime_ns) != (file.size, file.mtime_ns)
            if changed or here.size > position.offset:
                file.open(here.path, now_s)
            elif here.size < position.offset:
                return False
        if not file.holds():
            return False
        file.scanned_ns = file.mtime_ns
        file.found, file.seen = here is not None, file.seen or here is not None or file.fd is not None
        if here is None:
            # Deleted, or moved away: what is left of it is read by the descriptor.
            file.active = False
            return file.fd is not None and (file.left > 0 or now_s - file.grown_s < IDLE_S)
        file.active = here.active
        del free[place]
        if here.path != position.path:
            log.info("a file was rotated", file=position.path, to=here.path, left=file.left)
            file.position = _replaced(position, path=here.path)
        return True

    def _is_unreachable(self, file: TailedFile, folders: set[str]) -> bool:
        """Whether the file may come back: its position is kept, or it would be read from its beginning then."""
        path = file.position.path
        unreachable = os.path.dirname(path) not in folders and is_unreachable(path, file.position.device)
        if unreachable and path not in self._unreachable:
            log.error("the folder of a file cannot be read, or its file system is not mounted", file=path)
        (self._unreachable.add if unreachable else self._unreachable.discard)(path)
        if unreachable:
            file.close()
        return unreachable

    def _lost(self, batch: SourceBatch, file: TailedFile, free: dict[Place, FoundFile], now_s: float) -> None:
        """The file, or its content, is gone: continue in a copy of it, or say what is lost."""
        position = file.position
        here = free.get((position.device, position.inode))
        file.close()
        for place, each in sorted(free.items(), key=lambda item: item[1].active):
            if each.stem != position.stem or (each.active and each is here):
                continue
            copy = is_copy(each, position)
            if copy is False:
                continue
            log.info("continuing in a copy of a file", file=position.path, copy=each.path)
            del free[place]
            moved = _replaced(position, path=each.path, device=each.device, inode=each.inode)
            if copy is None:  # it was read beyond what the copy has
                moved = _skipped(each, moved)
            self._take(batch, file, moved)
            file.active, file.found, file.size = each.active, True, each.size
            file.mtime_ns = file.scanned_ns = each.mtime_ns
            if file.left:
                file.open(each.path, now_s)
            return
        del self.files[file.id]
        batch.positions[file.id] = None
        self._report(batch, file, here)

    def _report(self, batch: SourceBatch, file: TailedFile, here: FoundFile | None) -> None:
        position = file.position
        lost = max(0, max(file.most, position.size) - position.offset)
        rest = None if file.seen else _compressed_rest(position)
        if rest is not None:
            reason, lost = "compressed", rest
        else:
            reason = "gone" if here is None else "truncated"
        # Read to its end: it has not grown since, unless a program still had it open.
        if not lost and (rest == 0 or (here is None and (file.seen or position.path != position.stem))):
            return
        batch.losses[reason] += 1
        batch.lost[reason] += lost
        log.error(
            f"a file is {reason}, and what it had behind the position is lost",
            file=position.path,
            position=position.offset,
            lost_bytes=lost or "unknown",
        )

    def _add(
        self, batch: SourceBatch, found: FoundFile, known: bool, newest_ns: int, now_s: float, at_end: bool
    ) -> None:
        """A file that is not known: it is read from its beginning, unless it had been rotated before, or ``at_end``."""
        position = FilePosition(
            found.stem, found.path, found.device, found.inode, size=found.size, mtime_ns=found.mtime_ns
        )
        if not found.active:
            if not found.size or (known and self._is_copy_of_known(found)):
                return
            if not known or found.mtime_ns < newest_ns:
                position = _skipped(found, position)
                log.info("a file that was rotated before is not read", file=found.path)
        elif at_end:
            position = _after_lines(found, position)
        file = TailedFile(uuid.uuid4().hex[:16], position, None, found.size, found.mtime_ns, now_s, True)
        file.active, file.seen, file.scanned_ns = found.active, True, found.mtime_ns
        if found.size > position.offset or found.active:
            if not file.open(found.path, now_s):
                return
            log.info("following a file", file=found.path, position=position.offset, bytes=file.left)
        self.files[file.id] = file
        self._take(batch, file, position)

    def _is_copy_of_known(self, found: FoundFile) -> bool:
        """Whether a file is a copy, complete or not, of one that is followed: `copytruncate` copies, then truncates."""
        return any(file.has_copy(found) for file in self.files.values() if file.position.stem == found.stem)

    def _take(self, batch: SourceBatch, file: TailedFile, position: FilePosition) -> None:
        file.position = position
        batch.positions[file.id] = position

    def close(self) -> None:
        """Close all descriptors."""
        for file in self.files.values():
            file.close()


def _replaced(position: FilePosition, **changes: object) -> FilePosition:
    return msgspec.structs.replace(position, **changes)


def _skipped(found: FoundFile, position: FilePosition) -> FilePosition:
    """The position at the end of a file."""
    try:
        fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return position
    try:
        end = os.fstat(fd).st_size
        return _replaced(position, offset=end, size=end, head=head_of(fd, end), tail=tail_of(fd, end), skipping=False)
    finally:
        os.close(fd)


def _after_lines(found: FoundFile, position: FilePosition) -> FilePosition:
    """The position behind the complete lines of a file. Raises OSError."""
    fd = os.open(found.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        size = os.fstat(fd).st_size
        end, skipping = end_of_lines(fd, size)
        return _replaced(
            position, offset=end, size=size, head=head_of(fd, end), tail=tail_of(fd, end), skipping=skipping
        )
    finally:
        os.close(fd)


def _compressed_rest(position: FilePosition) -> int | None:
    """The bytes behind the position in the gzip file that was made of this file; None if there is none of it."""
    for path in compressed_of(position.stem):
        try:
            with gzip.open(path) as packed:
                if digest(packed.read(min(HEAD, position.offset))) != position.head:
                    continue
            with open(path, "rb") as raw:
                raw.seek(-4, os.SEEK_END)
                return max(0, int.from_bytes(raw.read(4), "little") - position.offset % (1 << 32))
        except (OSError, EOFError, zlib.error):
            continue
    return None


def _times(folders: Iterable[str]) -> dict[str, int]:
    found = {}
    for folder in folders:
        try:
            found[folder] = os.stat(folder).st_mtime_ns
        except OSError:
            found[folder] = 0
    return found
