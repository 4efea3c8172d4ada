"""The result of a task made of its steps: texts in order, one numbering of sources, what is missing. Pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from a2a.types import Json
from coordinator.executor.artifacts import Stored
from coordinator.executor.decide import stand_ins
from coordinator.executor.state import StepState, TaskState
from coordinator.planner.plan import Requirement
from models.states import StepStatus

MAX_TEXT_CHARS = 200_000
MAX_FIELD_CHARS = 2_000
MAX_DATA_CHARS = 4_000
_SOURCE_LIST = re.compile(
    r"^#{1,6} (?:Sources|References)[ \t]*$(?:(?!^#{1,6} ).)*\Z", re.MULTILINE | re.DOTALL
)
_MARKER = re.compile(r"\[(\d{1,4})\]")
_SOURCE_FIELDS = ("source", "title", "locator", "passage")


@dataclass(frozen=True, slots=True)
class Result:
    text: str
    sources: list[Json]
    artifact_ids: list[str]

    def to_json(self) -> dict[str, Json]:
        return {"text": self.text, "sources": self.sources, "artifact_ids": self.artifact_ids}


def step_text(artifacts: Sequence[Stored]) -> str:
    """What a step's artifacts say: their text parts that are prose."""
    texts = [
        stored.part.text
        for stored in artifacts
        if stored.part.text is not None and stored.media_type in ("text/plain", "text/markdown")
    ]
    return "\n\n".join(text.strip() for text in texts if text.strip())[:MAX_TEXT_CHARS]


def aggregate(task: TaskState, artifacts: Sequence[Stored]) -> Result:
    """The texts of the steps that no other step was made from, with their citations in one numbering; the
    files of all steps."""
    used = _used(task)
    leaves = [
        step
        for step in task.steps.values()
        if _is_done(step) and not step.is_list and step.number not in used and step.parent not in used
    ]
    by_step: dict[int | None, list[Stored]] = {}
    for stored in artifacts:
        by_step.setdefault(stored.step_number, []).append(stored)
    sources: list[Json] = []
    sections = []
    for leaf in leaves:
        own = by_step.get(leaf.number, [])
        citations = _citations(own)
        prose = _without_source_list(step_text(own)) if citations else step_text(own)
        text = _renumbered(prose, citations, leaf.number, sources)
        heading = f"## {_title(leaf)}\n\n" if len(leaves) > 1 else ""
        sections.append(heading + (text or _shown_data(own) or "This step produced files and no text."))
    return Result("\n\n".join(sections), sources, [s.id for s in artifacts if s.step_number is not None])


def gaps(task: TaskState, notes: Sequence[str]) -> list[Json]:
    """What the result lacks: steps that did not complete and that nothing stands in for, and what the plan
    had to leave out. Of a list the list itself, which says how many of its items."""
    found: list[Json] = [{"step_number": None, "reason": note} for note in notes]
    for step in task.steps.values():
        is_told_elsewhere = step.parent is not None or step.requirement is Requirement.fallback
        if is_told_elsewhere or step.is_quiet or step.status not in (StepStatus.FAILED, StepStatus.SKIPPED):
            continue
        if stand_ins(task, [step.number]) == [step.number]:
            what = "optional step" if step.requirement is Requirement.optional else "step"
            why = step.error.message if step.error is not None else "It did not complete."
            found.append({"step_number": step.number, "reason": f"The {what} is missing. {why}"})
    return found


def _used(task: TaskState) -> set[int]:
    """The steps whose results others were made from."""
    done = [step for step in task.steps.values() if _is_done(step)]
    return {number for step in done for number in stand_ins(task, step.depends_on)}


def _shown_data(artifacts: Sequence[Stored]) -> str | None:
    """For a step that gave data and no word: the data itself, if it is short."""
    for stored in artifacts:
        if stored.part.data is not None and not is_citations(stored.part.data):
            shown = json.dumps(stored.part.data, ensure_ascii=False, indent=2)
            return f"```json\n{shown}\n```" if len(shown) <= MAX_DATA_CHARS else None
    return None


def is_citations(data: Json) -> bool:
    return isinstance(data, dict) and isinstance(data.get("citations"), list)


def _is_done(step: StepState) -> bool:
    return step.status is StepStatus.COMPLETED


def _citations(artifacts: Sequence[Stored]) -> dict[int, Json]:
    """Citations by their number, from data parts of the form {"citations": [{"number": 1, ...}]}."""
    found: dict[int, Json] = {}
    for stored in artifacts:
        if not is_citations(stored.part.data):
            continue
        for citation in stored.part.data["citations"]:
            if isinstance(citation, dict) and isinstance(citation.get("number"), int):
                found[citation["number"]] = citation
    return found


def _title(step: StepState) -> str:
    """The first line of its instruction, unless that is a template; of an item the item, where that is a word
    or a number."""
    if isinstance(step.item, str | int | float) and str(step.item).strip():
        first_line = str(step.item).strip().splitlines()[0][:200]
    else:
        first_line = step.planned.instruction.splitlines()[0][:200]
    if "{{" in first_line:
        return f"Step {step.number}"
    return first_line[:1].upper() + first_line[1:]


def _without_source_list(text: str) -> str:
    """The text without the list of sources at its end: the result has one list for all steps."""
    return _SOURCE_LIST.sub("", text).rstrip()


def _renumbered(text: str, citations: dict[int, Json], step_number: int, sources: list[Json]) -> str:
    """The text with its [n] in the numbering of `sources`, to which this step's citations are added."""
    numbers: dict[int, int] = {}
    for old, citation in sorted(citations.items()):
        numbers[old] = len(sources) + 1
        fields = {
            name: str(citation[name])[:MAX_FIELD_CHARS] for name in _SOURCE_FIELDS if citation.get(name)
        }
        sources.append({"number": numbers[old], "step_number": step_number, "source": "", **fields})

    def renumber(marker: re.Match[str]) -> str:
        return f"[{numbers.get(int(marker[1]), int(marker[1]))}]"

    return _MARKER.sub(renumber, text) if numbers else text
