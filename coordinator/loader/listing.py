"""Looks at the folder: which files there are, in which version, and which of them cannot be tried."""

import os
import stat
from collections.abc import Container
from pathlib import Path
from typing import Final

from coordinator.loader.state import Found

MAX_FILE_BYTES: Final = 2**20
# Beyond this nobody reads what is reported of each.
MAX_LISTED: Final = 256


def list_folder(folder: Path, known: Container[str]) -> tuple[list[Found], int]:
    """The Python files directly in it, and how many more there are than MAX_LISTED; those that are `known`
    are not among these. Raises OSError."""
    names = [name for name in os.listdir(folder) if is_agent_file(name)]  # noqa: PTH208 names, not paths
    names.sort(key=lambda name: (name not in known, name))
    return [_found(folder, name) for name in names[:MAX_LISTED]], max(0, len(names) - MAX_LISTED)


def is_agent_file(name: str) -> bool:
    """A module that others share, or a file that an editor has in the works, begins with _ or a dot."""
    return name.endswith(".py") and not name.startswith(("_", "."))


def _found(folder: Path, name: str) -> Found:
    shown = name if name.isprintable() else ascii(name)
    try:
        path = (folder / name).resolve(strict=True)
        status = path.stat()
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        return Found(shown, version, _problem(folder, path, status, is_plain=shown == name))
    except (OSError, RuntimeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else None
        return Found(shown, (), f"it cannot be read: {reason or 'its links lead in a circle'}")


def _problem(folder: Path, path: Path, status: os.stat_result, *, is_plain: bool) -> str | None:
    if not is_plain:
        return "its name has characters that cannot be shown"
    if not path.is_relative_to(folder.resolve()):
        return "it is a link that leads out of the folder"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_size > MAX_FILE_BYTES:
        return f"it is too large: {status.st_size:,} bytes, {MAX_FILE_BYTES:,} are allowed"
    if not os.access(path, os.R_OK):
        return "it cannot be read: Permission denied"
    return None
