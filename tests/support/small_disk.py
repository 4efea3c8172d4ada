"""A disk that can be filled: a tmpfs of a few megabytes, where this process may mount one."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK = b"\0" * 4096


class SmallDisk:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Until not one page is left."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while file.write(CHUNK):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        self._filler.unlink()


class NoDisk(Exception):
    """`args` say why there can be none here."""


@contextmanager
def small_disk(folder: Path, *, megabytes: int) -> Iterator[SmallDisk]:
    """Raises NoDisk."""
    if shutil.which("mount") is None:
        raise NoDisk("there is no mount command")
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        raise NoDisk(mounted.stderr.strip() or "mounting a tmpfs is not allowed")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
