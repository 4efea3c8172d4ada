"""A stream folded into the task it describes: what GetTask would say after the same events."""

from a2a.errors import InvalidAgentResponse
from a2a.types import (
    MAX_LISTED,
    Artifact,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskStatus,
    TaskStatusUpdateEvent,
)


class TaskFold:
    """One task and the events that are folded into it, each in constant time.

    It takes the task over; the events stay as they are. Raises InvalidAgentResponse where the task grows
    over MAX_LISTED artifacts, or parts in one of them.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._artifacts = task.artifacts or []
        self._places: dict[str, int] = {}
        for place, artifact in enumerate(self._artifacts):
            self._places.setdefault(artifact.artifact_id, place)
        # By place: what the text of the artifact's last part is made of, where it has grown.
        self._tails: dict[int, list[str]] = {}

    @property
    def task(self) -> Task:
        """The task as far as the events told it. Joins up its text: do not read it at each event."""
        for place in list(self._tails):
            self._join(place)
        return self._task

    @property
    def status(self) -> TaskStatus:
        return self._task.status

    def apply_status(self, event: TaskStatusUpdateEvent) -> None:
        """Terminal states never change."""
        if not self._task.status.state.is_terminal:
            self._task.status = event.status

    def apply_artifact(self, event: TaskArtifactUpdateEvent) -> None:
        """Add or replace the artifact, or append the chunk's parts; adjoining bare text of one media type
        becomes one part."""
        chunk = event.artifact
        place = self._places.get(chunk.artifact_id)
        if place is None:
            self._add(chunk)
        elif event.append:
            for part in chunk.parts:
                self._append(place, part)
        else:
            self._tails.pop(place, None)
            self._artifacts[place] = _own(chunk)

    def _add(self, chunk: Artifact) -> None:
        _check(len(self._artifacts) + 1)
        own = _own(chunk)
        self._places[chunk.artifact_id] = len(self._artifacts)
        self._artifacts.append(own)
        self._task.artifacts = self._artifacts

    def _append(self, place: int, part: Part) -> None:
        parts = self._artifacts[place].parts
        last = parts[-1]
        if _is_bare_text(part) and _is_bare_text(last) and part.media_type == last.media_type:
            self._tails.setdefault(place, [last.text or ""]).append(part.text or "")
        else:
            _check(len(parts) + 1)
            self._join(place)
            parts.append(part)

    def _join(self, place: int) -> None:
        """The part is replaced, never changed: it belongs to the event it came with, too."""
        tail = self._tails.pop(place, None)
        if tail is not None:
            parts = self._artifacts[place].parts
            parts[-1] = parts[-1].model_copy(update={"text": "".join(tail)})


def _check(count: int) -> None:
    if count > MAX_LISTED:
        raise InvalidAgentResponse("The agent's answer is too large.")


def _own(artifact: Artifact) -> Artifact:
    """With a list of its own: later chunks are appended to it."""
    return artifact.model_copy(update={"parts": list(artifact.parts)})


def _is_bare_text(part: Part) -> bool:
    return part.text is not None and part.filename is None and part.metadata is None
