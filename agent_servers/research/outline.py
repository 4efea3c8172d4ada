"""A sentence that is a list, taken apart into its rows, so that one row can be judged and shown."""

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

from agent_servers.markup import ITEM

_SIGN_MARKER = re.compile(r"[^\s\w*+-].*")


@dataclass(frozen=True, slots=True)
class Row:
    """One item, or the line that introduces the list; `parents` are the rows it stands under."""

    text: str
    parents: tuple[int, ...]


def rows(text: str, column: int = 0) -> list[Row]:
    """The rows of a sentence, one where it is no list. `column` is where its first line starts.

    Wrapped lines are joined, pictures used as bullets become dashes; nothing else changes.
    """
    first, _, rest = text.partition("\n")
    if ITEM.match(first):
        laid_out = textwrap.dedent(" " * column + text)
    else:
        laid_out = f"{first}\n{textwrap.dedent(rest)}"
    joined: list[str] = []
    for line in laid_out.split("\n"):
        if not line.strip():
            continue
        if ITEM.match(line) or not joined:
            joined.append(_with_plain_marker(line.rstrip()))
        else:
            joined[-1] += " " + line.strip().lstrip("> ")
    introduced = bool(joined) and not ITEM.match(joined[0])
    found: list[Row] = []
    open_rows: list[tuple[int, int]] = []
    for number, line in enumerate(joined):
        # The introducing line stands left of everything.
        indent = len(line) - len(line.lstrip()) if number or not introduced else -1
        while open_rows and open_rows[-1][0] >= indent:
            open_rows.pop()
        found.append(Row(line, tuple(position for _, position in open_rows)))
        open_rows.append((indent, number))
    return found


def _with_plain_marker(line: str) -> str:
    marker = ITEM.match(line)
    if not marker:
        return line
    body = line[marker.end() :]
    sign = ITEM.match(body)
    if sign and _SIGN_MARKER.match(sign[0]):
        return marker[0] + body[sign.end() :]
    if _SIGN_MARKER.match(marker[0].strip()):
        return " " * (len(line) - len(line.lstrip())) + "- " + body
    return line


def layout(found: list[Row], keep: Iterable[int]) -> str:
    """The rows as markdown. Rows left out are marked by an ellipsis, once where they were."""
    kept = set(keep)
    lines: list[str] = []
    for number, row in enumerate(found):
        if number in kept:
            lines.append(row.text)
            if number == 0 and not ITEM.match(row.text) and len(found) > 1:
                lines.append("")
        elif not lines or not lines[-1].endswith("- ..."):
            lines.append(" " * (len(row.text) - len(row.text.lstrip())) + "- ...")
    return "\n".join(lines)


def family(found: list[Row], wanted: set[int]) -> set[int]:
    """The wanted rows with what they stand under and what stands under them."""
    above = {parent for number in wanted for parent in found[number].parents}
    below = {n for n, row in enumerate(found) if not wanted.isdisjoint(row.parents)}
    return wanted | above | below
