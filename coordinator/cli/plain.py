"""Text for a terminal. A control sequence in a document must not act on the screen."""

import sys
import unicodedata
from datetime import datetime
from pathlib import Path

# Cc: control characters and escape sequences. Cf: invisible ones, among them those that turn the writing
# direction. Cs: halves of a character, which no terminal can print.
_UNSAFE = frozenset({"Cc", "Cf", "Cs"})


def command() -> str:
    """How the person started us, so that a line with it can be copied."""
    return sys.argv[0] if Path(sys.argv[0]).name == "parley" else "parley"


def to_answer(task_id: str, step: int | None) -> str:
    """What to type to answer the question of a step."""
    return f'{command()} answer {plain(task_id)} "..."{_of_step(step)}'


def to_approve(task_id: str, step: int | None) -> str:
    """What to type to approve a step, or the plan."""
    return f"{command()} approve {plain(task_id)}{_of_step(step)}"


def _of_step(number: int | None) -> str:
    return f" --step {number}" if number is not None else ""


def plain(text: str) -> str:
    """The text without control characters; newlines stay and tabs become spaces."""
    kept = text.replace("\r\n", "\n").expandtabs(4)
    return "".join(c for c in kept if c == "\n" or unicodedata.category(c) not in _UNSAFE)


def one_line(text: str, *, max_chars: int = 400) -> str:
    """The text on one line, cut with an ellipsis at `max_chars`."""
    line = " ".join(plain(text[: max_chars * 4]).split())
    return line if len(line) <= max_chars else line[: max_chars - 3].rstrip() + "..."


def duration(seconds: float) -> str:
    """Such as 0.4 s, 12 s, 3 min 05 s, 2 h 10 min."""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def local_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")
