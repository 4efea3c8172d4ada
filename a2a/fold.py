"""A stream folded into the task it describes: what GetTask would say after the same events."""

from collections.abc import Sequence

from a2a.errors import InvalidAgentResponse
from a2a.types import (
    MAX_LISTED,
    Artifact,
    Message,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskStatus,
    TaskStatusUpdateEvent,
)


class TaskFold:
    """One task and the events that are folded into it, each in constant time.

    Neither the task nor the events are changed, nor what `task` gave: an artifact that grows is copied first.
    Raises InvalidAgentResponse where the task grows over MAX_LISTED artifacts, or parts in one of them.
    """

    def __init__(self, task: Task) -> None:
        self.status = task.status
        self.history: Sequence[Message] | None = task.history
        self._begun = task
        self._artifacts = list(task.artifacts or ())
        self._places: dict[str, int] = {}
        for place, artifact in enumerate(self._artifacts):
            self._places.setdefault(artifact.artifact_id, place)
        # Places of the artifacts whose list of parts nobody else has seen.
        self._own: set[int] = set()
        # By place: what the text of the artifact's last part is made of, where it has grown.
        self._tails: dict[int, list[str]] = {}

    @property
    def task(self) -> Task:
        """The task as far as the events told it. Joins up its text: do not read it at each event."""
        return self.task_with(self.status)

    def task_with(self, status: TaskStatus) -> Task:
        for place in list(self._tails):
            self._join(place)
        self._own.clear()
        return Task(
            id=self._begun.id,
            context_id=self._begun.context_id,
            status=status,
            artifacts=self._artifacts.copy() or self._begun.artifacts,
            history=None if self.history is None else list(self.history),
            metadata=self._begun.metadata,
        )

    def apply_status(self, event: TaskStatusUpdateEvent) -> None:
        self.set_status(event.status)

    def apply_artifact(self, event: TaskArtifactUpdateEvent) -> None:
        self.add_artifact(event.artifact, append=bool(event.append))

    def set_status(self, status: TaskStatus) -> None:
        """Terminal states never change."""
        if not self.status.state.is_terminal:
            self.status = status

    def add_artifact(self, chunk: Artifact, *, append: bool) -> None:
        """Add or replace the artifact, or append the chunk's parts; adjoining bare text of one media type
        becomes one part."""
        place = self._places.get(chunk.artifact_id)
        if place is None:
            _check(len(self._artifacts) + 1)
            self._places[chunk.artifact_id] = len(self._artifacts)
            self._artifacts.append(chunk)
        elif append:
            for part in chunk.parts:
                self._append(place, part)
        else:
            self._tails.pop(place, None)
            self._own.discard(place)
            self._artifacts[place] = chunk

    def append_text(self, artifact_id: str, text: str) -> None:
        """A chunk of bare text for an artifact that is there."""
        place = self._places[artifact_id]
        tail = self._tails.get(place)
        if tail is not None and self._artifacts[place].parts[-1].media_type is None:
            tail.append(text)
        else:
            self._append(place, Part(text=text))

    def _append(self, place: int, part: Part) -> None:
        last = self._artifacts[place].parts[-1]
        if _is_bare_text(part) and _is_bare_text(last) and part.media_type == last.media_type:
            self._tails.setdefault(place, [last.text or ""]).append(part.text or "")
        else:
            _check(len(self._artifacts[place].parts) + 1)
            self._join(place)
            self._parts(place).append(part)

    def _join(self, place: int) -> None:
        """The part is replaced, never changed: it belongs to the event it came with, too."""
        tail = self._tails.pop(place, None)
        if tail is not None:
            parts = self._parts(place)
            parts[-1] = parts[-1].model_copy(update={"text": "".join(tail)})

    def _parts(self, place: int) -> list[Part]:
        """The artifact's parts, to be changed."""
        if place not in self._own:
            self._own.add(place)
            shared = self._artifacts[place]
            self._artifacts[place] = shared.model_copy(update={"parts": list(shared.parts)})
        return self._artifacts[place].parts


def _check(count: int) -> None:
    if count > MAX_LISTED:
        raise InvalidAgentResponse("The agent's answer is too large.")


def _is_bare_text(part: Part) -> bool:
    return part.text is not None and part.filename is None and part.metadata is None
