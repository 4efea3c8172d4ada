"""The tasks an agent remembers, in memory: bounded in number and bytes, the oldest settled one goes first."""

from collections import OrderedDict
from collections.abc import Iterator

from a2a.live import LiveTask
from a2a.types import Artifact, Message, Part, Task


def _part_bytes(part: Part) -> int:
    return len(part.raw or b"") + len(part.text or "") + (len(str(part.data)) if part.data else 0)


def _task_bytes(task: Task) -> int:
    holders: list[Message | Artifact] = [*(task.history or []), *(task.artifacts or [])]
    return sum(_part_bytes(part) for holder in holders for part in holder.parts)


class MemoryTaskStore:
    """Tasks by id, and by the message that made them.

    `max_tasks` and `max_bytes` bound the settled tasks that are kept: those that have ended or wait for
    their caller. Running ones are never dropped.
    """

    def __init__(self, *, max_tasks: int = 10_000, max_bytes: int = 256 * 2**20) -> None:
        self._max_tasks = max_tasks
        self._max_bytes = max_bytes
        self._tasks: dict[str, LiveTask] = {}
        self._settled: OrderedDict[str, int] = OrderedDict()
        self._settled_bytes = 0
        self._by_message: dict[bytes, str] = {}
        self._message_keys: dict[str, list[bytes]] = {}

    def __iter__(self) -> Iterator[LiveTask]:
        return iter(list(self._tasks.values()))

    def get(self, task_id: str) -> LiveTask | None:
        return self._tasks.get(task_id)

    def made_by(self, message_key: bytes) -> LiveTask | None:
        """The task that this very message made or continued, if it is remembered."""
        task_id = self._by_message.get(message_key)
        return self._tasks.get(task_id) if task_id is not None else None

    def add(self, live: LiveTask) -> None:
        self._tasks[live.task.id] = live

    def remember_message(self, message_key: bytes, task_id: str) -> None:
        self._by_message[message_key] = task_id
        self._message_keys.setdefault(task_id, []).append(message_key)

    def mark_running(self, live: LiveTask) -> None:
        """The task goes on: keep it until it settles again."""
        self._settled_bytes -= self._settled.pop(live.task.id, 0)

    def mark_settled(self, live: LiveTask) -> None:
        """Count the task among the settled ones and forget the oldest of them beyond the bounds.
        A skill that outlives its cancellation settles a task twice, or when it is long forgotten."""
        self.mark_running(live)
        if live.task.id not in self._tasks:
            return
        size = _task_bytes(live.task)
        self._settled[live.task.id] = size
        self._settled_bytes += size
        while len(self._settled) > self._max_tasks or (
            self._settled_bytes > self._max_bytes and len(self._settled) > 1
        ):
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        task_id, size = self._settled.popitem(last=False)
        self._settled_bytes -= size
        del self._tasks[task_id]
        for key in self._message_keys.pop(task_id, ()):
            self._by_message.pop(key, None)
