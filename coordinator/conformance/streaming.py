"""The stream of a real send: whether it begins, and whether it tells the end."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from a2a.errors import A2AError
from a2a.types import StreamResponse, TaskState
from coordinator.conformance.report import Outcome
from coordinator.conformance.samples import Sample
from coordinator.conformance.sending import HONEST, STATE_WORDS
from coordinator.conformance.shares import Countdown
from coordinator.conformance.wire import Wire, sentence


@dataclass(frozen=True, slots=True)
class Streamed:
    """`proves`: the work that was streamed came to its end, or to an honest question. `open_task_id` is that
    of a task that has not ended."""

    outcome: Outcome
    detail: str
    proves: bool = False
    open_task_id: str | None = None


@dataclass(slots=True)
class _Heard:
    """What a stream has said so far."""

    events: int = 0
    task_id: str | None = None
    state: TaskState | None = None
    is_message: bool = False
    is_over: bool = False

    def take(self, event: StreamResponse, *, is_last: bool) -> None:
        self.events += 1
        update = event.status_update or event.artifact_update
        if event.message is not None:
            self.is_message = True
        elif event.task is not None:
            self.task_id, self.state = event.task.id, event.task.status.state
        elif update is not None:
            self.task_id = update.task_id
        if event.status_update is not None:
            self.state = event.status_update.status.state
        self.is_over = is_last or self.is_message or (self.state is not None and self.state.is_settled)


async def check_stream(wire: Wire, sample: Sample, time: Countdown) -> Streamed:
    heard = _Heard()
    # Some of the time is kept for the question that a silent stream leaves.
    listen_s = time.part_s(3, of=4)
    try:
        async with asyncio.timeout(listen_s), aclosing(wire.stream(sample.message())) as events:
            async for event, is_last in events:
                heard.take(event, is_last=is_last)
                if heard.is_over:
                    return _ended(heard)
    except TimeoutError:
        return await _silent(wire, heard, listen_s, time)
    except A2AError as error:
        after = f"After {heard.events} events: " if heard.events else ""
        return Streamed(Outcome.FAILED, after + sentence(error))
    return Streamed(Outcome.FAILED, f"The stream ended after {heard.events} events, before its task had.")


def _ended(heard: _Heard) -> Streamed:
    if heard.is_message:
        return Streamed(Outcome.PASSED, "The stream gave one message and was over.", proves=True)
    words = STATE_WORDS[heard.state] if heard.state is not None else "said to be over"
    detail = f"The stream gave {heard.events} events, the last when its task was {words}."
    still_open = heard.state is not None and heard.state.is_interrupted
    return Streamed(
        Outcome.PASSED,
        detail,
        proves=heard.state in HONEST,
        open_task_id=heard.task_id if still_open else None,
    )


async def _silent(wire: Wire, heard: _Heard, listened_s: float, time: Countdown) -> Streamed:
    """Nothing more came. Where the task is still at work that is no fault."""
    if heard.task_id is None:
        return Streamed(Outcome.FAILED, f"The stream said nothing within {listened_s:.1f} s.")
    try:
        task = await wire.get(heard.task_id, timeout_s=time.left_s())
    except A2AError as error:
        detail = (
            f"The stream fell silent after {heard.events} events, and GetTask did not help: {sentence(error)}"
        )
        return Streamed(Outcome.FAILED, detail)
    words = STATE_WORDS[task.status.state]
    if task.status.state.is_settled:
        detail = f"The stream fell silent after {heard.events} events, though its task is {words}."
        return Streamed(Outcome.FAILED, detail)
    detail = f"The stream gave {heard.events} events; its task is still {words}."
    return Streamed(Outcome.NOTED, detail, open_task_id=task.id)
