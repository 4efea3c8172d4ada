"""What a process writes to its log, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CRASH = """
import sys
import structlog
from a2a.logs import configure_logging

def skill(sent):
    raise RuntimeError("no such file")

configure_logging("info", sys.argv[1])
log = structlog.get_logger("a2a")
log.debug("not.shown")
try:
    skill("what the caller sent".replace("what", "all that"))
except RuntimeError:
    log.exception("skill.crashed", error_id="e-1")
"""


def logged(log_format: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CRASH, log_format],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_crash_is_logged_with_its_id_and_cause_and_without_what_the_caller_sent(log_format: str) -> None:
    text = logged(log_format)

    assert all(words in text for words in ("skill.crashed", "e-1", "RuntimeError: no such file"))
    assert "all that the caller sent" not in text
    assert "not.shown" not in text


def test_a_machine_reads_one_object_a_line() -> None:
    (line,) = logged("json").splitlines()

    assert json.loads(line)["error_id"] == "e-1"
