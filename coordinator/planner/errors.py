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


class PlannerError(Exception):
    """Base of all planning errors."""


class UnknownTaskType(PlannerError):
    """No registered skill fits some clauses of the request.

    `unmatched` holds those clauses in the user's words, `best` the near misses below the
    threshold (best first), `available` the names of the skills that are registered.
    """

    def __init__(
        self,
        unmatched: tuple[str, ...],
        best: tuple[Candidate, ...] = (),
        available: tuple[str, ...] = (),
    ) -> None:
        super().__init__(unmatched, best, available)
        self.unmatched = unmatched
        self.best = best
        self.available = available

    def __str__(self) -> str:
        if not self.unmatched:
            return "The task says nothing to do. Describe it in a sentence."
        clauses = _listing(tuple(f'"{_shorten(clause)}"' for clause in self.unmatched))
        if not self.available:
            return f"No agent can do {clauses}: no skill is registered. Register an agent first."
        return (
            f"No agent can do {clauses}. Registered skills: {_listing(self.available)}. "
            "Rephrase that part or register an agent that has such a skill."
        )


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


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_QUOTED_CHARS else text[: MAX_QUOTED_CHARS - 3] + "..."


def _listing(items: tuple[str, ...]) -> str:
    shown = ", ".join(items[:MAX_NAMED])
    hidden = len(items) - MAX_NAMED
    return f"{shown} and {hidden} more" if hidden > 0 else shown
