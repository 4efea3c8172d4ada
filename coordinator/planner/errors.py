"""What can go wrong while planning, as fields. Knows nothing of HTTP.

PlannerError
├── UnknownTaskType   a clause of the request fits no skill that is registered
└── PlanInvalid       a plan that cannot run: bad shape, cycle, unknown skill, too many steps
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.planner.plan import Candidate

MAX_NAMED = 5
MAX_QUOTED_CHARS = 120
MAX_EXAMPLES = 3
MAX_SENTENCE_CHARS = 600
_MAX_CLAUSES = 3
_MAX_CLAUSE_CHARS = 60
_MAX_NAME_CHARS = 30
_MAX_EXAMPLE_CHARS = 80


class PlannerError(Exception):
    """Base of all planning errors."""


class UnknownTaskType(PlannerError):
    """No registered skill fits some clauses of the request.

    `unmatched` holds those clauses in the user's words, `best` the near misses below the
    threshold (best first), `available` the names of the skills that are registered, `examples`
    one request per skill as the agents' cards word it. Names and examples are untrusted text: the
    sentence caps, cleans and quotes them and stays within MAX_SENTENCE_CHARS.
    """

    def __init__(
        self,
        unmatched: tuple[str, ...],
        best: tuple[Candidate, ...] = (),
        available: tuple[str, ...] = (),
        examples: tuple[str, ...] = (),
    ) -> None:
        super().__init__(unmatched, best, available, examples)
        self.unmatched = unmatched
        self.best = best
        self.available = available
        self.examples = examples

    def __str__(self) -> str:
        if not self.unmatched:
            return "The task says nothing to do. Describe it in a sentence."
        limit = MAX_QUOTED_CHARS if len(self.unmatched) == 1 else _MAX_CLAUSE_CHARS
        clauses = _listing([_quoted(clause, limit) for clause in self.unmatched], _MAX_CLAUSES)
        if not self.available:
            return f"No agent can do {clauses}: no skill is registered. Register an agent first."
        names = _listing([_shorten(_clean(name), _MAX_NAME_CHARS) for name in self.available], MAX_NAMED)
        examples = [_quoted(text, _MAX_EXAMPLE_CHARS) for text in self.examples[:MAX_EXAMPLES]]
        head = f"No agent can do {clauses}. Registered skills: {names}."
        tail = " Rephrase that part or register an agent that has such a skill."
        while examples:
            shown = f" For example: {', '.join(examples)}."
            if len(head) + len(shown) + len(tail) < MAX_SENTENCE_CHARS:
                return head + shown + tail
            examples.pop()
        return head + tail


class PlanInvalid(PlannerError):
    """A plan that cannot run; `problems` has one sentence per defect, never empty."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        shown = " ".join(self.problems[:MAX_NAMED])
        hidden = len(self.problems) - MAX_NAMED
        more = f" And {hidden} more." if hidden > 0 else ""
        return f"The plan cannot run: {shown}{more}"


def _clean(text: str) -> str:
    """One line of printable characters, without the quotation mark that ends a quotation."""
    line = " ".join(text[: 10 * MAX_QUOTED_CHARS].split()).replace('"', "'")
    return "".join(character for character in line if character.isprintable())


def _shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3].rstrip() + "..."


def _quoted(text: str, limit: int) -> str:
    return f'"{_shorten(_clean(text), limit)}"'


def _listing(items: list[str], limit: int) -> str:
    shown = ", ".join(items[:limit])
    hidden = len(items) - limit
    return f"{shown} and {hidden} more" if hidden > 0 else shown
