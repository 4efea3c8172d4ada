"""What `parley new agent` writes, used as its README says."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from coordinator.cli.new import PORT, new_agent
from tests.support.network import free_port, until

ROOT = Path(__file__).parents[2]
NAME = "greeter"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_agent(NAME, tmp_path_factory.mktemp("new"))


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    return kept | {"PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT)}


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=110,
    )


def test_its_test_passes(project: Path) -> None:
    ran = run(project, "pytest", "-q", "-p", "no:cacheprovider")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


@pytest.mark.parametrize("command", [("check",), ("format", "--check")])
def test_ruff_has_nothing_to_say(project: Path, command: tuple[str, ...]) -> None:
    ran = run(project, "ruff", *command, "--isolated", "--no-cache", ".")
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_mypy_strict_has_nothing_to_say(project: Path, tmp_path: Path) -> None:
    ran = run(
        project, "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", "agent.py", "test_agent.py"
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("how", ["python agent.py", "uvicorn agent:app"])
def test_it_serves(project: Path, how: str) -> None:
    port = free_port()
    if how == "python agent.py":
        source = (project / "agent.py").read_text().replace(f"port={PORT}", f"port={port}")
        (project / "on_free_port.py").write_text(source)
        command = [sys.executable, "on_free_port.py"]
    else:
        command = [sys.executable, "-m", "uvicorn", "agent:app", "--port", str(port), "--log-level", "error"]
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, cwd=project, env=environment()) as process:
        try:
            until(lambda: answers(f"{url}/health"), within_s=30, what=how)
            body = {"message": {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "greet Ada"}]}}
            asked = httpx.post(
                f"{url}/message:send", json=body, headers={"A2A-Version": "1.0"}, trust_env=False
            ).json()
        finally:
            process.terminate()
    assert asked["task"]["artifacts"][0]["parts"] == [{"text": "Hello, Ada!"}]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
