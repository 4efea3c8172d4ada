"""The folder of documents: what in it may be read, what of it is indexed, and what changed since.

Hidden files and links are left alone, so that nothing outside the folder can be quoted.
"""

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from agent_servers.research.index import Index
from agent_servers.research.readers import Document, Unreadable, read, safe_name

_SUFFIXES = frozenset({".md", ".markdown", ".txt", ".rst", ".html", ".htm", ".xhtml", ".pdf"})
_MAX_FILES = 2_000
_MAX_ENTRIES = 50_000
_MAX_DEPTH = 12
_MAX_TOTAL_CHARS = 20_000_000
# Looking for changes may take up to a twentieth of the time.
_RESCAN_FACTOR = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What changes when a file does."""

    size: int
    modified_ns: int
    inode: int


@dataclass(slots=True)
class _Entry:
    stamp: _Stamp
    chars: int = 0
    skipped: str | None = None


@dataclass(slots=True)
class Library:
    """An indexed folder. All methods may be called from any thread; they block, so call them off
    the event loop."""

    folder: Path
    max_file_bytes: int
    now: Callable[[], float] = time.monotonic
    lock: threading.Lock = field(default_factory=threading.Lock)
    index: Index = field(default_factory=Index)
    _entries: dict[Path, _Entry] = field(default_factory=dict)
    _next_scan_at: float = float("-inf")

    def refresh(self) -> None:
        """Bring the index up to date with the folder; nothing is read again that did not change.

        Called at each request. A large folder, slow to list, is listed less often.
        """
        with self.lock:
            began = self.now()
            if began < self._next_scan_at:
                return
            current = dict(_files(self.folder))
            listed = self.now()
            self._next_scan_at = listed + (listed - began) * _RESCAN_FACTOR
            for path in self._entries.keys() - current.keys():
                self.index.remove(self._name(path))
                del self._entries[path]
            for path, stamp in current.items():
                known = self._entries.get(path)
                if known is None or known.stamp != stamp:
                    self._entries[path] = self._load(path, stamp)

    def names(self) -> list[str]:
        """The documents that can be searched, by name."""
        with self.lock:
            return sorted(self._name(p) for p, e in self._entries.items() if e.skipped is None)

    def skipped(self) -> list[str]:
        """One line per file that could not be used, with the reason."""
        with self.lock:
            return sorted(
                f"{self._name(path)} was skipped: {entry.skipped}"
                for path, entry in self._entries.items()
                if entry.skipped is not None
            )

    def close(self) -> None:
        with self.lock:
            self.index.close()

    def _name(self, path: Path) -> str:
        return safe_name(path.relative_to(self.folder).as_posix())

    def _load(self, path: Path, stamp: _Stamp) -> _Entry:
        name = self._name(path)
        self.index.remove(name)
        try:
            document = self._read(path, name, stamp)
        except Unreadable as error:
            log.warning("library.file_skipped", file=name, reason=error.reason)
            return _Entry(stamp, skipped=error.reason)
        self.index.add(document)
        log.info("library.file_indexed", file=name, chars=len(document.text))
        return _Entry(stamp, chars=len(document.text))

    def _read(self, path: Path, name: str, stamp: _Stamp) -> Document:
        if stamp.size > self.max_file_bytes:
            raise Unreadable(f"it is larger than {self.max_file_bytes:,} bytes")
        document = read(name, _bytes_of(path, self.max_file_bytes))
        if sum(e.chars for p, e in self._entries.items() if p != path) > _MAX_TOTAL_CHARS:
            raise Unreadable("the library already holds as much text as can be indexed")
        return document


def _bytes_of(path: Path, limit: int) -> bytes:
    """The content of a regular file; a file that became a link or a pipe meanwhile is not opened."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Unreadable("it is not a regular file")
            return file.read(limit)
    except OSError as error:
        raise Unreadable("it cannot be opened; check its permissions") from error


def _files(folder: Path) -> Iterator[tuple[Path, _Stamp]]:
    """Documents below a folder in a stable order, up to the bounds above."""
    waiting: list[tuple[Path, int]] = [(folder, 0)]
    seen = taken = 0
    while waiting:
        current, depth = waiting.pop()
        for entry in _entries_of(current):
            seen += 1
            if seen > _MAX_ENTRIES or taken >= _MAX_FILES:
                log.warning("library.too_many_files", taken=taken)
                return
            if entry.name.startswith("."):
                continue
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False) and depth < _MAX_DEPTH:
                waiting.append((path, depth + 1))
            elif path.suffix.lower() in _SUFFIXES and (stamp := _stamp_of(entry)):
                taken += 1
                yield path, stamp


def _stamp_of(entry: os.DirEntry[str]) -> _Stamp | None:
    try:
        if not entry.is_file(follow_symlinks=False):
            return None
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return None
    return _Stamp(found.st_size, found.st_mtime_ns, found.st_ino)


def _entries_of(folder: Path) -> Sequence[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        # A subfolder may go at any time; a library that is not there was reported at the start.
        return []
    except OSError:
        log.warning("library.folder_unreadable", folder=folder.name)
        return []
