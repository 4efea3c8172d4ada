"""A full-text index of passages in an in-memory SQLite database (FTS5), and its vocabulary.

Words are stemmed by our own tokeniser before they reach SQLite, and quoted in every query.
"""

import difflib
import math
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent_servers.extract import words
from agent_servers.research.passages import Passage, cut
from agent_servers.research.question import Term
from agent_servers.research.readers import Document

_SCHEMA = """
CREATE VIRTUAL TABLE passage USING fts5(body, context, tokenize = "unicode61 remove_diacritics 0");
CREATE VIRTUAL TABLE vocabulary USING fts5vocab(passage, row);
"""
# bm25() is better the lower it is; a match in the heading counts half of one in the text.
_SEARCH = """
SELECT rowid, bm25(passage, 1.0, 0.5) FROM passage WHERE passage MATCH ? ORDER BY 2 LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class Match:
    """A passage that has words of a query; `bm25` is higher the better."""

    passage: Passage
    bm25: float


class Index:
    """Not safe for two threads at once: its owner holds the lock."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.executescript(_SCHEMA)
        self._passages: dict[int, Passage] = {}
        self._rows: dict[str, list[int]] = {}
        self._next_row = 1

    @property
    def documents(self) -> int:
        return len(self._rows)

    def __len__(self) -> int:
        return len(self._passages)

    def close(self) -> None:
        self._database.close()

    def add(self, document: Document) -> None:
        """Index a document; one with the same name is replaced."""
        self.remove(document.name)
        rows = self._rows.setdefault(document.name, [])
        for passage in cut(document):
            row = self._next_row
            self._next_row += 1
            self._passages[row] = passage
            rows.append(row)
            self._database.execute(
                "INSERT INTO passage(rowid, body, context) VALUES (?, ?, ?)",
                (row, " ".join(words(passage.text)), " ".join(words(passage.context))),
            )

    def remove(self, name: str) -> None:
        for row in self._rows.pop(name, []):
            self._database.execute("DELETE FROM passage WHERE rowid = ?", (row,))
            del self._passages[row]

    def search(self, stems: Iterable[str], limit: int) -> list[Match]:
        """The passages that have any of the stems, best first."""
        query = " OR ".join(_quoted(stem) for stem in stems)
        if not query:
            return []
        found = self._database.execute(_SEARCH, (query, limit)).fetchall()
        return [Match(self._passages[row], -score) for row, score in found]

    def holding(self, stem: str) -> int:
        """How many passages have the stem."""
        row = self._database.execute("SELECT doc FROM vocabulary WHERE term = ?", (stem,)).fetchone()
        return int(row[0]) if row else 0

    def related(self, stem: str, limit: int = 4) -> list[str]:
        """Other stems of the indexed texts that look like this one: same root, or a slip in typing."""
        if len(stem) < 5:
            return []
        rows = self._database.execute(
            "SELECT term FROM vocabulary WHERE term >= ? AND term < ? LIMIT 5000",
            (stem[:2], stem[:2] + "\U0010ffff"),
        )
        near = [term for (term,) in rows if term.rstrip("0123456789") != stem]
        same_root = [term for term in near if _same_root(stem, term)]
        typed = difflib.get_close_matches(stem, near, n=limit, cutoff=0.84)
        return list(dict.fromkeys([*same_root, *typed]))[:limit]


def _quoted(stem: str) -> str:
    return '"' + stem.replace('"', '""').replace("\x00", "") + '"'


def _same_root(left: str, right: str) -> bool:
    shared = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        shared += 1
    return shared >= max(5, 0.75 * max(len(left), len(right)))


def weights(terms: Sequence[Term], indexes: Sequence[Index]) -> dict[str, float]:
    """How telling each term is among all passages: rare is telling. What no passage has counts as
    the rarest of the others, and a name that no passage has counts in full: without it the passage
    is about something else."""
    total = sum(len(index) for index in indexes)
    counts = {term.stem: sum(index.holding(term.stem) for index in indexes) for term in terms}
    known = {stem: math.log(2 + total / (1 + count)) for stem, count in counts.items() if count}
    rarest = max(known.values(), default=1.0)
    in_full = math.log(2 + total)
    return {term.stem: known.get(term.stem, in_full if term.is_name else rarest) for term in terms}
