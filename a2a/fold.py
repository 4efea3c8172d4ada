"""A stream folded into the task it describes: what GetTask would say after the same events."""

from a2a.types import Artifact, Part, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent


def apply_status(task: Task, event: TaskStatusUpdateEvent) -> None:
    """Terminal states never change."""
    if not task.status.state.is_terminal:
        task.status = event.status


def apply_artifact(task: Task, event: TaskArtifactUpdateEvent) -> None:
    """Add or replace the artifact, or append the chunk's parts; adjoining bare text of one media type
    becomes one part."""
    artifacts = task.artifacts or []
    chunk = event.artifact
    place = next((i for i, item in enumerate(artifacts) if item.artifact_id == chunk.artifact_id), None)
    if place is None:
        task.artifacts = [*artifacts, _copy(chunk)]
    elif not event.append:
        task.artifacts = [*artifacts[:place], _copy(chunk), *artifacts[place + 1 :]]
    else:
        _append_parts(artifacts[place], chunk.parts)


def _append_parts(artifact: Artifact, parts: list[Part]) -> None:
    for part in parts:
        last = artifact.parts[-1]
        if _is_bare_text(part) and _is_bare_text(last) and part.media_type == last.media_type:
            last.text = (last.text or "") + (part.text or "")
        else:
            artifact.parts.append(part.model_copy())


def _copy(artifact: Artifact) -> Artifact:
    """Its own list of its own parts: later chunks are written into them."""
    return artifact.model_copy(update={"parts": [part.model_copy() for part in artifact.parts]})


def _is_bare_text(part: Part) -> bool:
    return part.text is not None and part.filename is None and part.metadata is None
