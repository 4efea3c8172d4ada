"""Peers live in virtual environments of their own, made from benchmarks/peers/<name>.txt; ours never holds
them, for the official SDK's package and our own share a name: `python -m benchmarks.environments sdk-all`."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ROOT / "benchmarks" / "peers"


def peers_dir() -> Path:
    return Path(os.environ.get("PEERS_DIR", ROOT / ".venv-peers")).absolute()


def peer_python(name: str) -> Path:
    return peers_dir() / name / "bin" / "python"


def make_environment(name: str) -> Path:
    """The peer's Python; its environment is made anew when the requirements or our Python have changed."""
    requirements = REQUIREMENTS / f"{name}.txt"
    wanted = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    folder = peers_dir() / name
    stamp = folder / ".made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return peer_python(name)
    print(f"Making the environment {folder} ...", file=sys.stderr, flush=True)
    _run(sys.executable, "-m", "venv", "--clear", str(folder))
    pip = (str(peer_python(name)), "-m", "pip", "-qq", "--disable-pip-version-check")
    _run(*pip, "install", "-r", str(requirements))
    stamp.write_text(wanted)
    return peer_python(name)


def peer_names() -> list[str]:
    return sorted(path.stem for path in REQUIREMENTS.glob("*.txt"))


def _run(*command: str) -> None:
    subprocess.run(command, check=True)  # noqa: S603 a fixed command


if __name__ == "__main__":
    for name in sys.argv[1:] or peer_names():
        make_environment(name)
