"""The checks of one interface, one after the other.

At most three real sends begin: one that waits for its end (more only where a skill fails: one for each
skill), one that is streamed where the card declares streams, and one that is canceled, which also asks for
notifications where the card declares those. What was left open is canceled at the end.
"""

import asyncio
from contextlib import nullcontext
from dataclasses import dataclass

from a2a.client.choice import spoken_version
from a2a.errors import (
    A2AError,
    AgentHttpError,
    AuthenticationFailed,
    InternalError,
    InvalidAgentResponse,
    MethodNotFound,
    PermissionRefused,
    ProtocolError,
    TaskNotFound,
    UnsupportedOperation,
)
from a2a.types import Task, new_id
from coordinator.conformance.canceling import Started, cancel, start
from coordinator.conformance.declared import label_of
from coordinator.conformance.meanings import finding
from coordinator.conformance.receiver import Expected, PushReceiver
from coordinator.conformance.report import Check, Finding, InterfaceFacts, Outcome
from coordinator.conformance.samples import Sample
from coordinator.conformance.sending import Proof, Sent, send_samples
from coordinator.conformance.shares import Countdown
from coordinator.conformance.streaming import Streamed, check_stream
from coordinator.conformance.wire import Wire, sentence

# Statuses of a server that has no such route.
NO_SUCH_ROUTE = (404, 405, 501)
# No refusals of what was asked for, but failures to understand it.
NO_REFUSALS = (InternalError, InvalidAgentResponse, MethodNotFound)


@dataclass(frozen=True, slots=True)
class Plan:
    """`streams` and `pushes` are what the card declares; `receiver` is None where there is none."""

    samples: tuple[Sample, ...]
    streams: bool
    pushes: bool
    receiver: PushReceiver | None


class InterfaceRun:
    """`findings` and `facts` hold at any moment, so that a run that is cut off has what it saw."""

    def __init__(self, wire: Wire, plan: Plan, time: Countdown) -> None:
        self.findings: list[Finding] = []
        self._wire = wire
        self._plan = plan
        self._time = time
        self._label = label_of(wire.interface)
        self._outcomes: dict[Check, Outcome] = {}
        self._cancels = False
        self._open_task_ids: list[str] = []

    async def run(self) -> None:
        if not self._plan.samples:
            self.note(Check.SEND, Outcome.SKIPPED, "No skill could be run.")
            await self._unknown_task()
        else:
            sent = await send_samples(self._wire, self._plan.samples, self._share(Check.SEND))
            if sent.proof is Proof.FAILED:
                self._note_failed(sent)
                return
            if sent.proof is Proof.DONE:
                self.note(Check.SEND, Outcome.PASSED, sent.detail)
            elif sent.proof is Proof.SLOW:
                self.note(Check.SEND, Outcome.NOTED, sent.detail)
            await self._follow(sent)
        await self._invalid_request()

    def note(self, check: Check, outcome: Outcome, detail: str) -> None:
        self._outcomes[check] = outcome
        self.findings.append(finding(check, self._label, outcome, detail))

    def facts(self) -> InterfaceFacts:
        interface = self._wire.interface
        decisive = Check.SEND if self._plan.samples else Check.INVALID_REQUEST
        return InterfaceFacts(
            url=interface.url,
            binding=interface.protocol_binding,
            version=spoken_version(interface),
            tenant=interface.tenant or None,
            is_usable=self._has(decisive, Outcome.PASSED, Outcome.NOTED),
            gets=self._has(Check.GET, Outcome.PASSED),
            streams=self._has(Check.STREAM, Outcome.PASSED, Outcome.NOTED),
            lists=self._has(Check.LIST, Outcome.PASSED),
            cancels=self._cancels,
            pushes=self._has(Check.PUSH, Outcome.PASSED),
            latency_ms=self._wire.latency_ms,
        )

    def _has(self, check: Check, *outcomes: Outcome) -> bool:
        return self._outcomes.get(check) in outcomes

    def _share(self, check: Check) -> Countdown:
        return Countdown(self._time.share_s(check), asyncio.get_running_loop().time)

    def _note_failed(self, sent: Sent) -> None:
        self.note(Check.SEND, Outcome.FAILED, sent.detail)
        if sent.needs_credentials:
            self.note(Check.CREDENTIALS, Outcome.FAILED, sent.detail)
        if sent.task is not None and not sent.task.status.state.is_settled:
            self.note(Check.GET, Outcome.FAILED, "The task of the send was not to be had.")

    async def _follow(self, sent: Sent) -> None:
        """What else can be done where a send did not fail."""
        if sent.task is not None and not sent.task.status.state.is_terminal:
            self._open_task_ids.append(sent.task.id)
        if sent.proof is Proof.DONE and sent.task is None:
            self.note(Check.GET, Outcome.SKIPPED, "It answered with a message: there is no task to get.")
        else:
            await self._get(sent.task)
            await self._unknown_task()
        await self._list(sent.task)
        streamed = await self._stream(sent.sample)
        started = await self._cancel(sent.sample)
        if sent.proof is Proof.UNANSWERED:
            self._note_unanswered(sent.detail, streamed, started)

    def _note_unanswered(self, detail: str, streamed: Streamed, started: Started) -> None:
        """A send that was waited for in vain: the other two may still show that the agent works."""
        if streamed.proves:
            self.note(Check.SEND, Outcome.NOTED, f"{detail} The same, streamed, came to its end.")
        elif started.is_found:
            began = "The same, not waited for, began, and GetTask knows its task."
            self.note(Check.SEND, Outcome.NOTED, f"{detail} {began}")
        else:
            self.note(Check.SEND, Outcome.FAILED, detail)

    async def _get(self, task: Task | None) -> None:
        if task is None:
            self.note(Check.GET, Outcome.SKIPPED, "The send was not answered: there is no task to get.")
            return
        try:
            await self._wire.get(task.id, timeout_s=self._share(Check.GET).left_s())
        except A2AError as error:
            self.note(Check.GET, Outcome.FAILED, sentence(error))
        else:
            self.note(Check.GET, Outcome.PASSED, "The task of the send was given.")

    async def _unknown_task(self) -> None:
        try:
            await self._wire.get(new_id(), timeout_s=self._share(Check.UNKNOWN_TASK).left_s())
        except TaskNotFound:
            self.note(Check.UNKNOWN_TASK, Outcome.PASSED, "A task that does not exist is not found.")
        except A2AError as error:
            detail = f"The answer to a GetTask for a task that does not exist: {sentence(error)}"
            self.note(Check.UNKNOWN_TASK, Outcome.FAILED, detail)
        else:
            detail = "A task was given for an id that does not exist."
            self.note(Check.UNKNOWN_TASK, Outcome.FAILED, detail)

    async def _list(self, task: Task | None) -> None:
        if task is None:
            self.note(Check.LIST, Outcome.SKIPPED, "There is no task that the list should have.")
            return
        try:
            page = await self._wire.list(task.context_id, timeout_s=self._share(Check.LIST).left_s())
        except A2AError as error:
            is_honest = isinstance(error, UnsupportedOperation | MethodNotFound) or (
                isinstance(error, AgentHttpError) and error.status in NO_SUCH_ROUTE
            )
            outcome = Outcome.NOTED if is_honest else Outcome.FAILED
            self.note(Check.LIST, outcome, f"Tasks are not listed: {sentence(error)}")
            return
        if any(listed.id == task.id for listed in page.tasks):
            self.note(Check.LIST, Outcome.PASSED, "The list of tasks has the task of the send.")
        else:
            self.note(Check.LIST, Outcome.FAILED, "The list of tasks does not have the task of the send.")

    async def _stream(self, sample: Sample) -> Streamed:
        if not self._plan.streams:
            streamed = Streamed(Outcome.SKIPPED, "The card does not declare streams.")
        else:
            streamed = await check_stream(self._wire, sample, self._share(Check.STREAM))
        if streamed.open_task_id is not None:
            self._open_task_ids.append(streamed.open_task_id)
        self.note(Check.STREAM, streamed.outcome, streamed.detail)
        return streamed

    async def _cancel(self, sample: Sample) -> Started:
        """And the notifications of the task that is canceled."""
        receiver = self._plan.receiver if self._plan.pushes else None
        with receiver.expecting() if receiver is not None else nullcontext() as expected:
            time = self._share(Check.CANCEL)
            started = await start(self._wire, sample, time, expected)
            if started.task is None:
                self.note(Check.CANCEL, started.outcome, started.detail)
            else:
                outcome, detail, self._cancels = await cancel(self._wire, started.task, time)
                self.note(Check.CANCEL, outcome, detail)
            await self._clear_up(time)
            await self._push(started, expected)
        return started

    async def _clear_up(self, time: Countdown) -> None:
        """Nobody will answer what was asked, or read what is still worked on."""
        for task_id in self._open_task_ids:
            try:
                await self._wire.cancel(task_id, timeout_s=time.left_s())
            except A2AError:
                continue

    async def _push(self, started: Started, expected: Expected | None) -> None:
        outcome, detail = Outcome.SKIPPED, ""
        if not self._plan.pushes:
            detail = "The card does not declare notifications."
        elif expected is None:
            detail = "There is no receiver here that the agent could reach."
        elif started.refusal is not None:
            outcome, detail = Outcome.FAILED, f"Notifications were refused: {started.refusal}"
        elif started.task is None:
            detail = "No task was started that it could have told of."
        else:
            outcome, detail = await self._awaited(expected)
        self.note(Check.PUSH, outcome, detail)

    async def _awaited(self, expected: Expected) -> tuple[Outcome, str]:
        wait_s = self._share(Check.PUSH).left_s()
        try:
            async with asyncio.timeout(wait_s):
                await expected.arrived.wait()
        except TimeoutError:
            return Outcome.FAILED, f"No notification of the task came within {wait_s:.1f} s."
        return Outcome.PASSED, "A notification of the task came."

    async def _invalid_request(self) -> None:
        time = self._share(Check.INVALID_REQUEST)
        try:
            answer = await self._wire.send_nonsense(timeout_s=time.left_s())
        except NO_REFUSALS as error:
            self.note(
                Check.INVALID_REQUEST, Outcome.FAILED, f"It was not refused but failed: {sentence(error)}"
            )
        except ProtocolError as error:
            self.note(Check.INVALID_REQUEST, Outcome.PASSED, f"It was refused: {sentence(error)}")
        except A2AError as error:
            if isinstance(error, AuthenticationFailed | PermissionRefused) and not self._plan.samples:
                self.note(Check.CREDENTIALS, Outcome.FAILED, sentence(error))
            self.note(Check.INVALID_REQUEST, Outcome.FAILED, sentence(error))
        else:
            detail = "A message without parts, for a task that does not exist, was taken."
            self.note(Check.INVALID_REQUEST, Outcome.FAILED, detail)
            if isinstance(answer, Task) and not answer.status.state.is_terminal:
                self._open_task_ids = [answer.id]
                await self._clear_up(time)
