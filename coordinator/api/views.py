"""Rows into the shapes of the API."""

from a2a.types import Json
from coordinator.api import schemas
from coordinator.api.plan_schemas import PlanOut
from coordinator.executor.queries import AnyRow, TaskView
from coordinator.planner.plan import Plan


def task_summary(row: AnyRow) -> schemas.TaskSummary:
    return schemas.TaskSummary(**_summary(row))


def _summary(row: AnyRow) -> dict[str, Json]:
    return {
        "id": row.id,
        "session_id": row.session_id,
        "user_id": row.user_id,
        "description": row.description,
        "status": row.status,
        "waiting_for": row.waiting_for,
        "error": row.error,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "deadline_at": row.deadline_at,
        "completed_at": row.completed_at,
    }


def plan(stored: dict[str, Json] | None) -> PlanOut | None:
    """With every field, also where an older version stored it."""
    return PlanOut.model_validate(Plan.from_json(stored).to_json()) if stored is not None else None


def task(view: TaskView) -> schemas.TaskOut:
    artifacts = [_artifact(view.task.id, row) for row in view.artifacts]
    plans = {step["number"]: step for step in (view.task.plan or {}).get("steps", ())}
    return schemas.TaskOut(
        **_summary(view.task),
        priority=view.task.priority,
        retry_of=view.task.retry_of,
        webhook=_webhook(view),
        plan=plan(view.task.plan),
        steps=[_step(view, row, plans.get(row.parent or row.number, {})) for row in view.steps],
        inputs=[artifact for artifact in artifacts if artifact.step_number is None],
        result=_result(view.task.result, artifacts),
        gaps=view.task.gaps,
    )


def _step(view: TaskView, row: AnyRow, planned: Json) -> schemas.StepOut:
    name = view.agent_names.get(row.agent_id)
    return schemas.StepOut(
        step_number=row.number,
        instruction=row.instruction,
        skill_id=row.skill_id,
        status=row.status,
        requirement=row.requirement,
        depends_on=row.depends_on,
        attachments=planned.get("attachments", []),
        agent=schemas.AgentRef(id=row.agent_id, name=name) if name is not None else None,
        choice=row.choice,
        attempt=row.attempt,
        remote_task_id=row.remote_task_id,
        may_have_run_twice=row.may_have_run_twice,
        remote_cancel=row.cancel_answer,
        fallback_for=planned.get("fallback_for"),
        parent=row.parent,
        item=row.item,
        waiting_for=row.waiting_for,
        question=row.question,
        output_data=row.output,
        error=row.error,
        retry_at=row.retry_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )


def _webhook(view: TaskView) -> schemas.WebhookOut | None:
    if view.task.webhook is None:
        return None
    delivery = view.webhook
    return schemas.WebhookOut(
        url=view.task.webhook["url"],
        status=delivery.status if delivery is not None else None,
        attempts=delivery.attempts if delivery is not None else 0,
        last_error=delivery.last_error if delivery is not None else None,
    )


def _artifact(task_id: str, row: AnyRow) -> schemas.ArtifactOut:
    return schemas.ArtifactOut(
        id=row.id,
        step_number=row.step_number,
        name=row.name,
        filename=row.filename,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        url=f"/api/tasks/{task_id}/artifacts/{row.id}",
    )


def _result(result: dict[str, Json] | None, artifacts: list[schemas.ArtifactOut]) -> schemas.ResultOut | None:
    if result is None:
        return None
    listed = set(result["artifact_ids"])
    return schemas.ResultOut(
        text=result["text"],
        sources=result["sources"],
        artifacts=[artifact for artifact in artifacts if artifact.id in listed],
    )


def session(row: AnyRow) -> schemas.SessionOut:
    return schemas.SessionOut(
        id=row.id, user_id=row.user_id, created_at=row.created_at, updated_at=row.updated_at
    )


def message(row: AnyRow) -> schemas.MessageOut:
    return schemas.MessageOut(
        id=row.id,
        task_id=row.task_id,
        speaker=row.speaker,
        parts=row.parts,
        created_at=row.created_at,
    )
