"""Tasks: create, list, look at, follow, act on."""

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic_core import to_json

from a2a.types import Timestamp, format_timestamp
from coordinator.api import schemas, views
from coordinator.api.json_body import StrictJsonRoute
from coordinator.api.openapi import PROBLEMS, TASK_BODY, problems
from coordinator.api.paging import Limit, TaskCursor, next_cursor
from coordinator.api.params import NAME, PathId, QueryId
from coordinator.api.plan_schemas import PlanOut
from coordinator.api.services import Services, Use
from coordinator.api.task_body import read_task
from coordinator.executor.artifacts import read_artifact
from coordinator.executor.creation import Creation, NewTask
from coordinator.executor.events import latest_step_event, list_events
from coordinator.executor.queries import AnyRow, TaskFilter, find_task, list_tasks, view_task
from coordinator.executor.why import explain
from coordinator.planner.plan import Plan, PlanStep, Retry, When
from models.states import TaskStatus

router = APIRouter(prefix="/api/tasks", tags=["tasks"], responses=PROBLEMS, route_class=StrictJsonRoute)

MAX_WAIT_S = 300.0
KEEP_ALIVE_S = 15.0
EVENTS_AT_ONCE = 500
MAX_EVENT_NUMBER = 2**31 - 1
# RFC 9110: type and subtype are tokens. An agent says what it likes; a header takes no more than this.
_MEDIA_TYPE = re.compile(r"[\w!#$%&'*+.^`|~-]+/[\w!#$%&'*+.^`|~-]+", re.ASCII)
# W3C Trace Context, version 00; ids of zeros are not valid.
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
# Shown inline a file from an agent could run scripts on our origin; as a download it cannot.
DOWNLOAD_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}

_CREATED_HEADERS = {
    "Location": {"description": "The path of the task", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "wait=N where it was waited", "schema": {"type": "string"}},
}
_ANSWER_PROBLEMS = problems(400, 404, 409, 413)


@router.post(
    "",
    status_code=202,
    summary="Create a task",
    response_model=schemas.TaskAccepted,
    responses={
        200: {"model": schemas.DryRun, "description": "The plan of a dry run"},
        202: {"headers": _CREATED_HEADERS},
        **problems(400, 404, 409, 413, 415),
    },
    openapi_extra=TASK_BODY,
)
async def create_task(
    request: Request,
    use: Use,
    idempotency_key: Annotated[str | None, Header(min_length=1, max_length=200)] = None,
    prefer: Annotated[
        str | None, Header(description="wait=N: answer after the task has ended, or N seconds")
    ] = None,
    traceparent: Annotated[
        str | None, Header(description="W3C Trace Context: the task's calls belong to this trace")
    ] = None,
) -> Response:
    """The task is durably accepted once this returns. Send JSON, or a form with `description` and `files`."""
    wait_s = _wait_s(prefer)
    body = await read_task(request, max_bytes=use.settings.tasks.max_upload_bytes)
    wanted = _new_task(body, traceparent)
    if body.dry_run:
        plan = await use.executor.intake.preview(wanted)
        shown = schemas.DryRun(plan=PlanOut.model_validate(plan.to_json()))
        return Response(shown.model_dump_json(), media_type="application/json")
    creation = await use.executor.intake.create(wanted, idempotency_key=idempotency_key)
    if wait_s is not None:
        await _until_rest(use, creation, wait_s)
    return await _accepted(use, creation, wait_s)


async def _accepted(use: Services, creation: Creation, wait_s: float | None = None) -> Response:
    """Answered from memory where the task began and ended in this process, else from its row."""
    task = creation.state
    if creation.is_begun_here and (wait_s is None or task.status.is_terminal):
        # Without a wait the run may be ahead of what is durable; at its end it is not.
        status, plan = creation.task["status"], creation.task["plan"]
        if wait_s is not None:
            status, plan = task.status, task.plan.to_json() if task.plan is not None else None
        accepted = {"task_id": task.id, "session_id": task.session_id, "status": status, "plan": plan}
        created_at = creation.task["created_at"]
    else:
        row = await use.database.read(partial(find_task, task_id=creation.made or task.id))
        plan = Plan.from_json(row.plan).to_json() if row.plan is not None else None
        accepted = {"task_id": row.id, "session_id": row.session_id, "status": row.status, "plan": plan}
        created_at = row.created_at
    body = to_json(accepted | {"created_at": format_timestamp(created_at)})
    headers = {"Location": f"/api/tasks/{accepted['task_id']}"}
    if wait_s is not None:
        headers["Preference-Applied"] = f"wait={wait_s:g}"
    return Response(body, 202, headers, media_type="application/json")


def _new_task(body: schemas.TaskIn, traceparent: str | None) -> NewTask:
    plan = None
    if body.plan is not None:
        steps = tuple(
            PlanStep(
                number=step.number,
                instruction=step.instruction,
                skill_id=step.skill_id,
                agent_id=step.agent_id,
                depends_on=tuple(step.depends_on),
                attachments=tuple(step.attachments),
                requirement=step.requirement,
                fallback_for=step.fallback_for,
                data=step.data,
                when=When(step.when.ref, step.when.op, step.when.value) if step.when else None,
                for_each=step.for_each,
                max_parallel=step.max_parallel,
                approval=step.approval,
                timeout_s=step.timeout_s,
                retry=Retry(step.retry.max_attempts, step.retry.backoff_s),
                no_failover=step.no_failover,
                reason="given with the task",
            )
            for step in body.plan.steps
        )
        plan = Plan(planner="request", strategy=body.strategy, steps=steps)
    return NewTask(
        description=body.description,
        inputs=tuple(body.inputs),
        user_id=body.user_id,
        session_id=body.session_id,
        strategy=body.strategy,
        approval=body.approval,
        plan=plan,
        deadline_s=body.deadline_s,
        priority=body.priority,
        webhook=body.webhook.model_dump() if body.webhook is not None else None,
        traceparent=traceparent if traceparent and _TRACEPARENT.fullmatch(traceparent) else None,
    )


def _wait_s(prefer: str | None) -> float | None:
    """RFC 7240 `wait=N`; what cannot be read is no preference."""
    for preference in (prefer or "").split(","):
        name, _, value = preference.strip().partition("=")
        seconds = value.strip()
        # isdigit alone says yes to what float cannot read, such as a superscript.
        if name.strip().lower() == "wait" and seconds.isascii() and seconds.isdigit():
            return min(float(seconds), MAX_WAIT_S)
    return None


async def _until_rest(use: Services, creation: Creation, wait_s: float) -> None:
    """A task that has just begun here need not be looked at first, nor once it has ended here."""
    task_id = creation.made or creation.state.id
    try:
        async with asyncio.timeout(wait_s):
            with use.executor.rests.listening(task_id) as rest:
                if creation.is_begun_here:
                    await _next_news(rest)
                    if creation.state.status.is_terminal:
                        return
                while not _is_at_rest(await use.database.read(partial(find_task, task_id=task_id))):
                    await _next_news(rest)
    except TimeoutError:
        return


def _is_at_rest(row: AnyRow) -> bool:
    status = TaskStatus(row.status)
    return status.is_terminal or status in (TaskStatus.AWAITING_APPROVAL, TaskStatus.INPUT_REQUIRED)


async def _next_news(news: asyncio.Event) -> None:
    """Until something happened, or long enough that another process may have done it."""
    try:
        async with asyncio.timeout(1.0):
            await news.wait()
    except TimeoutError:
        return
    news.clear()


@router.get("", summary="List tasks, newest first")
async def get_tasks(
    use: Use,
    status: TaskStatus | None = None,
    agent_id: Annotated[
        str | None, Query(pattern=NAME, description="Only tasks with a step done by this agent")
    ] = None,
    session_id: QueryId = None,
    created_after: Timestamp | None = None,
    created_before: Timestamp | None = None,
    limit: Limit = 50,
    cursor: TaskCursor = None,
) -> schemas.TaskPage:
    """A time without an offset is taken as UTC."""
    wanted = TaskFilter(
        status=status,
        agent_id=agent_id,
        session_id=session_id,
        created_after=created_after,
        created_before=created_before,
        before=cursor,
    )
    rows = await use.database.read(partial(list_tasks, wanted=wanted, limit=limit + 1))
    return schemas.TaskPage(
        tasks=[views.task_summary(row) for row in rows[:limit]], next_cursor=next_cursor(rows, limit)
    )


@router.get("/{task_id}", summary="One task with its steps and result", responses=problems(404))
async def get_task(task_id: PathId, use: Use) -> schemas.TaskOut:
    return views.task(await use.database.read(partial(view_task, task_id=task_id)))


@router.get("/{task_id}/why", summary="Why the task is where it is", responses=problems(404))
async def get_why(task_id: PathId, use: Use) -> schemas.Why:
    view = await use.database.read(partial(view_task, task_id=task_id))
    latest = await use.database.read(partial(latest_step_event, task_id=task_id))
    reason = explain(view, latest, use.now())
    return schemas.Why(sentence=reason.sentence, status=view.task.status, facts=reason.facts)


@router.post("/{task_id}/cancel", status_code=202, summary="Cancel a task", responses=problems(404, 409))
async def cancel_task(task_id: PathId, use: Use) -> schemas.TaskSummary:
    """Its running steps are canceled at their agents; the events say what each agent answered."""
    await use.executor.intake.cancel(task_id)
    return views.task_summary(await use.database.read(partial(find_task, task_id=task_id)))


@router.post(
    "/{task_id}/approve", status_code=202, summary="Approve a plan or a step", responses=_ANSWER_PROBLEMS
)
async def approve_task(
    task_id: PathId, use: Use, body: schemas.ApprovalIn | None = None
) -> schemas.TaskSummary:
    """A task made with `"approval": "plan"` waits with its plan, a step with `"approval": true` before it
    starts. To refuse, cancel the task."""
    await use.executor.intake.approve(task_id, body.step_number if body is not None else None)
    return views.task_summary(await use.database.read(partial(find_task, task_id=task_id)))


@router.post(
    "/{task_id}/retry",
    status_code=202,
    summary="Go on where a task failed",
    response_model=schemas.TaskAccepted,
    responses=problems(404, 409),
)
async def retry_task(task_id: PathId, use: Use) -> Response:
    """A new task: the steps that had completed are kept with their results, the others are done again. The
    old one stays as it is."""
    return await _accepted(use, await use.executor.intake.retry(task_id))


@router.post("/{task_id}/input", status_code=202, summary="Answer a step", responses=_ANSWER_PROBLEMS)
async def give_input(task_id: PathId, body: schemas.InputIn, use: Use) -> schemas.TaskSummary:
    """The answer goes to the agent that asked, as the next message of the same remote task."""
    await use.executor.intake.answer(task_id, body.step_number, body.parts)
    return views.task_summary(await use.database.read(partial(find_task, task_id=task_id)))


@router.get("/{task_id}/artifacts/{artifact_id}", summary="Download", responses=problems(404))
async def get_artifact(task_id: PathId, artifact_id: PathId, use: Use) -> Response:
    """The bytes of one file, text or data part."""
    await use.database.read(partial(find_task, task_id=task_id))
    stored = await use.database.read(partial(read_artifact, task_id=task_id, artifact_id=artifact_id))
    disposition = f"attachment; filename*=UTF-8''{quote(stored.filename)}"
    headers = {"Content-Disposition": disposition, **DOWNLOAD_HEADERS}
    media_type = stored.media_type if _MEDIA_TYPE.fullmatch(stored.media_type) else "application/octet-stream"
    return Response(stored.content(), media_type=media_type, headers=headers)


@router.get(
    "/{task_id}/events",
    summary="Follow a task (SSE)",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **problems(404)},
)
async def get_events(
    task_id: PathId,
    use: Use,
    last_event_id: Annotated[
        int, Header(ge=0, le=MAX_EVENT_NUMBER, description="Resume after this event")
    ] = 0,
) -> StreamingResponse:
    """Every event from the first, or from the one after `Last-Event-ID`; ends after the task's last."""
    await use.database.read(partial(find_task, task_id=task_id))
    return StreamingResponse(
        _event_frames(use, task_id, last_event_id),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
    )


async def _event_frames(use: Services, task_id: str, after: int) -> AsyncIterator[bytes]:
    quiet_s = 0.0
    with use.executor.news.listening(task_id) as news:
        while True:
            # Status first: what ended before this look has all its events in the next one.
            task = await use.database.read(partial(find_task, task_id=task_id))
            rows = await use.database.read(
                partial(list_events, task_id=task_id, after=after, limit=EVENTS_AT_ONCE)
            )
            for row in rows:
                after = row.number
                yield _frame(row)
            if rows:
                quiet_s = 0.0
                continue
            if TaskStatus(task.status).is_terminal:
                return
            await _next_news(news)
            quiet_s += 1.0
            if quiet_s >= KEEP_ALIVE_S:
                quiet_s = 0.0
                yield b": still here\n\n"


def _frame(row: AnyRow) -> bytes:
    body = to_json(
        {
            "number": row.number,
            "kind": row.kind,
            "data": row.data,
            "created_at": format_timestamp(row.created_at),
        }
    )
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (row.number, row.kind.encode(), body)
