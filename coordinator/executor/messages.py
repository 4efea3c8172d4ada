"""What is sent to an agent for a step: its instruction and data with their references filled in, the files
and the results it works on. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from a2a.types import Json, Message, Part
from coordinator.executor.aggregate import is_citations, step_text
from coordinator.executor.artifacts import Stored, for_modes, takes
from coordinator.executor.decide import stand_ins
from coordinator.executor.state import StepState, TaskState
from coordinator.planner.template import Scope, StepOutput, references_in, render_data, render_text
from models.states import StepStatus

MAX_OUTPUT_CHARS = 20_000
MAX_OUTPUT_DATA_BYTES = 64 * 1024

# The artifacts of steps by their number; None are the task's own files.
Shelf = Mapping[int | None, Sequence[Stored]]


@dataclass(frozen=True, slots=True)
class Built:
    """`refused` are the names of the files that the agent does not take."""

    parts: list[Part]
    refused: list[str]


def build_parts(
    task: TaskState,
    step: StepState,
    sources: Sequence[int],
    shelf: Shelf,
    input_modes: Sequence[str],
    by_reference: Callable[[Stored], Part | None],
) -> Built:
    """`sources` are the steps whose results travel along; `by_reference` gives a link in place of what is too
    large to be sent. Raises TemplateError where a reference leads to nothing."""
    instruction, data = step.planned.instruction, step.planned.data
    if task.plan is not None and task.plan.has_templates:
        scope = scope_of(task, step, shelf)
        instruction, data = render_text(instruction, scope), render_data(data, scope)
    parts = [Part.from_text(instruction)]
    if data is not None:
        parts.append(_data_part(data, input_modes))
    files = [item for item in shelf.get(None, ()) if item.filename in step.planned.attachments]
    carried = [*files, *(item for number in sources for item in shelf.get(number, ()))]
    refused = []
    for stored in carried:
        part = for_modes(stored, input_modes)
        if part is None:
            refused.append(stored.filename)
        else:
            link = by_reference(stored)
            # What stands in for the part is of the media type that the agent takes, too.
            media_type = part.media_type or stored.media_type
            parts.append(link.model_copy(update={"media_type": media_type}) if link is not None else part)
    return Built(parts, refused)


def _data_part(data: Json, input_modes: Sequence[str]) -> Part:
    """As data, or as text for a skill that takes text only."""
    if takes("application/json", input_modes) or not takes("text/plain", input_modes):
        return Part.from_data(data)
    return Part.from_text(json.dumps(data, ensure_ascii=False), media_type="text/plain")


def build_message(step: StepState, context_id: str | None, parts: list[Part]) -> Message:
    return Message.from_user(
        *parts,
        context_id=context_id,
        task_id=step.remote_task_id,
        metadata={"skillId": step.planned.skill_id},
        message_id=step.message_id,
    )


def referred_steps(task: TaskState, step: StepState) -> list[int]:
    """The steps that its instruction and data refer to. Raises TemplateError."""
    if task.plan is None or not task.plan.has_templates:
        return []
    found = [*references_in(step.planned.instruction), *references_in(step.planned.data)]
    return [reference.step for reference in found if reference.step is not None]


def scope_of(task: TaskState, step: StepState, shelf: Shelf) -> Scope:
    """A reference to a step that failed leads to the fallback that stands in for it."""
    outputs = {}
    for number in referred_steps(task, step):
        [used] = stand_ins(task, [number])
        source = task.steps.get(used)
        if source is None or source.status is not StepStatus.COMPLETED:
            continue
        if source.is_list and source.output is not None:
            outputs[number] = StepOutput(source.output["text"], source.output["data"], {})
        else:
            items = shelf.get(used, ())
            outputs[number] = StepOutput(step_text(items), data_of(items), _by_name(items))
    return Scope(outputs, step.item, step.item_index)


def data_of(stored: Iterable[Stored]) -> Json:
    """The data of a step: its first data part that is no list of citations, or text that is JSON by its media
    type; None where it has none."""
    for item in stored:
        if item.part.data is not None and not is_citations(item.part.data):
            return item.part.data
        if item.part.text is not None and item.media_type == "application/json":
            try:
                return json.loads(item.part.text)
            except ValueError:
                continue
    return None


def output_of(stored: Sequence[Stored]) -> dict[str, Json]:
    """What is kept with the step, for readers and for conditions: its text up to a length, its data up to a
    size."""
    output: dict[str, Json] = {
        "text": step_text(stored)[:MAX_OUTPUT_CHARS],
        "artifact_ids": [item.id for item in stored],
    }
    data = data_of(stored)
    if data is not None:
        if sum(item.size_bytes for item in stored) <= MAX_OUTPUT_DATA_BYTES or _is_small(data):
            output["data"] = data
        else:
            output["data_left_out"] = True
    return output


def _is_small(data: Json) -> bool:
    return len(json.dumps(data)) <= MAX_OUTPUT_DATA_BYTES


def _by_name(stored: Sequence[Stored]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for item in stored:
        value = item.part.data if item.part.data is not None else item.part.text
        if value is not None:
            found.setdefault(item.name, value)
    return found
