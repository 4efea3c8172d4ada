"""The Procfile as `parley up` reads it, and the one of the project."""

from pathlib import Path

import pytest

from coordinator.cli.errors import StartFailed
from coordinator.cli.procfile import ProcessLine, parse_procfile

ROOT = Path(__file__).parents[2]


def test_name_command_host_and_port_are_read() -> None:
    text = "# network\n\nweb: serve --port=80 --host 0.0.0.0\nworker:  work hard\n"
    assert parse_procfile(text) == [
        ProcessLine("web", "serve --port=80 --host 0.0.0.0", "0.0.0.0", 80),
        ProcessLine("worker", "work hard", "127.0.0.1", None),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "names no process"),
        ("just words", "not `name: command`"),
        ("a: b\na: c", "names a twice"),
        ("a: b --port x", "no valid --port"),
        ("a: b --port 70000", "no valid --port"),
        ("a: b --port", "no valid --port"),
        ('a: b "c', "open quote"),
    ],
)
def test_mistake_is_named(text: str, why: str) -> None:
    with pytest.raises(StartFailed, match=why):
        parse_procfile(text)


def test_our_processes_have_the_ports_of_the_design() -> None:
    processes = parse_procfile((ROOT / "Procfile").read_text())
    assert {process.name: process.port for process in processes} == {
        "coordinator": 8000,
        "research": 8001,
        "api": 8002,
        "example": 8010,
    }
