"""Real sends: what came of a sample that was sent, and whether that proves that the agent works."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentHttpError,
    AgentTimeout,
    AuthenticationFailed,
    PermissionRefused,
    ProtocolError,
)
from a2a.types import Message, Task, TaskState
from coordinator.conformance.samples import Sample
from coordinator.conformance.shares import Countdown
from coordinator.conformance.wire import MAX_SAID_CHARS, Wire, sentence

FIRST_POLL_S: Final = 0.2
LAST_POLL_S: Final = 2.0
# The first look at a task has to have a chance, whatever time the send has left.
SHORTEST_GET_S: Final = 1.0
# Asking us something is an honest answer: the skill runs.
HONEST: Final = (TaskState.COMPLETED, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED)
# States as a person says them.
STATE_WORDS: Final = {state: state.removeprefix("TASK_STATE_") for state in TaskState}


class Proof(StrEnum):
    """`slow`: GetTask found the task still at work; `unanswered`: nothing came, so nothing is known."""

    DONE = "done"
    SLOW = "slow"
    UNANSWERED = "unanswered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Sent:
    """`task` is None where there was none, or it is not known; `needs_credentials`: HTTP 401 or 403."""

    proof: Proof
    sample: Sample
    detail: str
    task: Task | None = None
    needs_credentials: bool = False


async def send_samples(wire: Wire, samples: Sequence[Sample], time: Countdown) -> Sent:
    """One after the other until one completes, or what failed would fail with every skill."""
    sent = None
    for sample in samples:
        sent, goes_on = await _send(wire, sample, time)
        if not goes_on:
            break
    assert sent is not None
    return sent


async def _send(wire: Wire, sample: Sample, time: Countdown) -> tuple[Sent, bool]:
    """And whether another skill may do better."""
    about = f'The skill "{sample.skill_id[:60]}" was sent {sample.origin}'
    try:
        answer = await wire.send(sample.message(), timeout_s=time.left_s())
    except AgentTimeout as error:
        return Sent(Proof.UNANSWERED, sample, f"{about}: {sentence(error)}"), False
    except A2AError as error:
        return _failed(sample, about, error)
    if isinstance(answer, Message):
        return Sent(Proof.DONE, sample, f"{about}; it answered with a message."), False
    try:
        task = await _ended(wire, answer, time)
    except A2AError as error:
        lost = f"left its task {said_state(answer)}, and GetTask did not give it"
        detail = f"{about}; it {lost}: {sentence(error)}"
        return Sent(Proof.FAILED, sample, detail, answer), False
    state = task.status.state
    if not state.is_settled:
        return Sent(Proof.SLOW, sample, f"{about}; its task is still at work.", task), False
    detail = f"{about}; its task became {said_state(task)}{_reason(task)}."
    if state in HONEST:
        return Sent(Proof.DONE, sample, detail, task), False
    return Sent(Proof.FAILED, sample, detail, task), True


def _failed(sample: Sample, about: str, error: A2AError) -> tuple[Sent, bool]:
    needs_credentials = isinstance(error, AuthenticationFailed | PermissionRefused)
    of_the_skill = isinstance(error, ProtocolError) or (
        isinstance(error, AgentHttpError) and error.status >= 500
    )
    detail = f"{about}: {sentence(error)}"
    return Sent(Proof.FAILED, sample, detail, needs_credentials=needs_credentials), of_the_skill


async def _ended(wire: Wire, task: Task, time: Countdown) -> Task:
    """As GetTask gives it when it is settled or the time is up: not every agent waits as it is asked to."""
    pause_s, has_found = FIRST_POLL_S, False
    while not task.status.state.is_settled and not (has_found and time.left_s() <= 0):
        await asyncio.sleep(min(pause_s, time.left_s()))
        try:
            task = await wire.get(task.id, timeout_s=max(time.left_s(), SHORTEST_GET_S))
        except (AgentTimeout, AgentBusy):
            if not has_found:
                raise
            break
        pause_s, has_found = min(pause_s * 1.5, LAST_POLL_S), True
    return task


def said_state(task: Task) -> str:
    return STATE_WORDS[task.status.state]


def _reason(task: Task) -> str:
    """What the agent says with the state."""
    said = task.status.message
    words = " ".join(said.spoken_text()[:MAX_SAID_CHARS].split()) if said is not None else ""
    return f" ({words.rstrip('.')})" if words else ""
