"""A PostgreSQL server of a test's own, to be restarted while it is used."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.support.network import free_port

DEBIAN = "/usr/lib/postgresql"
USER = "postgres"


class NoPostgres(Exception):
    """`args` say why there can be none here."""


class PrivatePostgres:
    """`url` leads to the database postgres, as its superuser."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._data = folder / "data"
        self._log = folder / "postgres.log"
        port = free_port()
        self._options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.url = f"postgresql://{USER}@127.0.0.1:{port}/postgres"

    def start(self) -> None:
        self._run("initdb", "--auth=trust", f"--username={USER}", "--no-sync", "-D", str(self._data))
        self._control("start")

    def restart(self, mode: Literal["fast", "immediate"]) -> None:
        """fast ends the sessions, immediate the server, as a crash does."""
        self._control("restart", "-m", mode)

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        where = ["-D", str(self._data), "-l", str(self._log), "-o", self._options]
        self._run("pg_ctl", *arguments, "-w", "-t", "30", *where)

    def _run(self, name: str, *arguments: str) -> None:
        # The server refuses to run as root.
        account: dict[str, Any] = (
            {"user": USER, "group": USER, "extra_groups": []} if os.getuid() == 0 else {}
        )
        command = [str(self._binaries / name), *arguments]
        # No pipe: the server would inherit it and keep it open.
        subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, cwd="/", **account
        )


@contextmanager
def private_postgres() -> Iterator[PrivatePostgres]:
    """Raises NoPostgres."""
    binaries = _binaries()
    # Not below pytest's own folder, into which the server's account may not look.
    folder = Path(tempfile.mkdtemp(prefix="parley-postgres-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, USER, USER)
        server = PrivatePostgres(binaries, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    versions = sorted(Path(DEBIAN).glob("*/bin/initdb"))
    if not versions:
        raise NoPostgres(f"there is no initdb, neither on the path nor below {DEBIAN}")
    return versions[-1].parent
