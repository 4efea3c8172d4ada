"""A task that is started to be canceled, and the notifications that it should cause."""

from dataclasses import dataclass
from typing import Final

from a2a.errors import (
    A2AError,
    InvalidParams,
    PushNotificationNotSupported,
    TaskNotCancelable,
    UnsupportedOperation,
)
from a2a.types import Task, TaskState
from coordinator.conformance.receiver import Expected
from coordinator.conformance.report import Outcome
from coordinator.conformance.samples import Sample
from coordinator.conformance.sending import said_state
from coordinator.conformance.shares import Countdown
from coordinator.conformance.wire import Wire, sentence

# Answers to a request for notifications after which the message can be sent without it: it was not taken.
REFUSALS: Final = (PushNotificationNotSupported, InvalidParams, UnsupportedOperation)


@dataclass(frozen=True, slots=True)
class Started:
    """`task` is None where there is none to cancel, as `outcome` and `detail` say. `refusal` is what was said
    to the request for notifications; `is_found`: GetTask gives the task, and it has not failed."""

    task: Task | None
    outcome: Outcome = Outcome.PASSED
    detail: str = ""
    refusal: str | None = None
    is_found: bool = False


async def start(wire: Wire, sample: Sample, time: Countdown, notified: Expected | None) -> Started:
    """Half of the time is kept for the cancel itself."""
    refusal = None
    try:
        try:
            answer = await wire.start(sample.message(), timeout_s=time.part_s(1, of=2), notified=notified)
        except REFUSALS as error:
            if notified is None:
                raise
            refusal = sentence(error)
            answer = await wire.start(sample.message(), timeout_s=time.part_s(1, of=2))
    except A2AError as error:
        detail = f"The task to cancel could not be started: {sentence(error)}"
        return Started(None, Outcome.FAILED, detail, refusal)
    if not isinstance(answer, Task):
        detail = "It answered with a message: there is no task to cancel."
        return Started(None, Outcome.SKIPPED, detail, refusal)
    return Started(answer, refusal=refusal, is_found=await _is_found(wire, answer, time))


async def _is_found(wire: Wire, task: Task, time: Countdown) -> bool:
    try:
        found = await wire.get(task.id, timeout_s=time.part_s(1, of=2))
    except A2AError:
        return False
    state = found.status.state
    return state is TaskState.COMPLETED or not state.is_terminal


async def cancel(wire: Wire, task: Task, time: Countdown) -> tuple[Outcome, str, bool]:
    """With whether CancelTask answers as the protocol says."""
    try:
        answer = await wire.cancel(task.id, timeout_s=time.left_s())
    except TaskNotCancelable:
        return Outcome.NOTED, "The task had ended before it was canceled, and the agent said so.", True
    except A2AError as error:
        return Outcome.FAILED, f"A cancel was not answered as it should be: {sentence(error)}", False
    if answer.status.state is TaskState.CANCELED:
        return Outcome.PASSED, "A task that was started was canceled.", True
    words = said_state(answer)
    if answer.status.state.is_terminal:
        return Outcome.NOTED, f"The task had ended before it was canceled, as {words}.", True
    return Outcome.NOTED, f"A cancel was answered with a task that is still {words}.", False
