"""What an agent's answer comes to for the step it was asked for. Pure."""

from a2a.errors import (
    A2AError,
    AgentBusy,
    AgentHttpError,
    InternalError,
    InvalidAgentResponse,
    ProtocolError,
    TaskNotFound,
    TransportError,
)
from a2a.types import Artifact, Message, Task, TaskState
from coordinator.executor.state import Asked, AttemptFailed, Done, Outcome, Problem

MAX_WORDS_CHARS = 2_000


def outcome_of(task: Task) -> Outcome | None:
    """What the task has come to; None while it works."""
    said = task.status.message
    words = said.spoken_text()[:MAX_WORDS_CHARS] if said is not None else ""
    match task.status.state:
        case TaskState.COMPLETED:
            return Done(tuple(task.artifacts or _spoken_result(said)))
        case TaskState.INPUT_REQUIRED:
            return Asked(words or "The agent asks for input and does not say which.")
        case TaskState.AUTH_REQUIRED:
            return Asked(words or "The agent needs an authorisation and does not say which.", may_go_on=True)
        case TaskState.REJECTED:
            return AttemptFailed(
                Problem("REJECTED_BY_AGENT", words or "The agent rejected the step."), retryable=False
            )
        case TaskState.CANCELED:
            return AttemptFailed(
                Problem("CANCELED_BY_AGENT", words or "The agent canceled the step."), retryable=True
            )
        case TaskState.FAILED:
            told = (said.metadata if said else None) or {}
            # Of ours "mayHaveRun" says that the process died at work.
            code = "AGENT_STOPPED" if told.get("mayHaveRun") is True else "AGENT_FAILED"
            problem = Problem(code, words or "The agent failed.", may_have_run=code == "AGENT_STOPPED")
            return AttemptFailed(problem, bool(told.get("retryable", False)))
        case _:
            return None


def _spoken_result(said: Message | None) -> list[Artifact]:
    """Some agents put the answer into the last status message instead of an artifact."""
    return [Artifact.of(*said.parts, name="answer")] if said is not None else []


def failed_call(exc: A2AError) -> AttemptFailed:
    """A call that brought no outcome, as one."""
    match exc:
        case AgentBusy():
            problem = Problem("AGENT_BUSY", "The agent is busy.")
            return AttemptFailed(problem, retryable=True, retry_after_s=exc.retry_after_s)
        case TransportError():
            sentence = f"The agent could not be reached: {exc.detail}."
            problem = Problem("AGENT_UNREACHABLE", sentence, may_have_run=exc.may_have_arrived)
            # A gateway's 502 passes as a broken connection does; a 404 or an HTML page does not.
            retryable = exc.is_retryable or (isinstance(exc, AgentHttpError) and exc.status >= 500)
            return AttemptFailed(problem, retryable, blames_agent=True)
        case TaskNotFound():
            sentence = "The agent no longer knows the task it had begun."
            return AttemptFailed(Problem("REMOTE_TASK_LOST", sentence, may_have_run=True), retryable=True)
        case InternalError() | InvalidAgentResponse():
            problem = Problem("AGENT_FAILED", exc.detail, may_have_run=True)
            return AttemptFailed(problem, retryable=True, blames_agent=True)
        case ProtocolError():
            problem = Problem("AGENT_REFUSED", f"The agent refused the message: {exc.detail}")
            return AttemptFailed(problem, retryable=False)
        case _:
            return AttemptFailed(Problem("AGENT_FAILED", str(exc)), retryable=False)
