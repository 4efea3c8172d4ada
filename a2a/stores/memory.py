"""The tasks an agent remembers, in memory: bounded in number and bytes, the oldest settled one goes first."""

import sys
from collections import OrderedDict
from collections.abc import Iterator

from pydantic import BaseModel

from a2a.server.live import LiveTask

# Who sent it, and a digest of what was sent.
MessageKey = tuple[str, bytes]

# Rounded up from CPython's: a model with its fields; a value within data, or a key, beside its own text.
MODEL_BYTES = 1_000
VALUE_BYTES = 64


def kept_bytes(value: object) -> int:
    """About the memory that a model takes, with all that hangs on it; rather too much than too little."""
    match value:
        case str() | bytes():
            return sys.getsizeof(value)
        case BaseModel():
            fields = vars(value).values()
            return MODEL_BYTES + sum(kept_bytes(field) for field in fields if field is not None)
        case [BaseModel(), *_]:
            return sum(map(kept_bytes, value))
        case _:
            # Walking large data would hold up the process; printing it is quick.
            text = str(value)
            return sys.getsizeof(text) + VALUE_BYTES * sum(map(text.count, ",:[{"))


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
        self._by_message: dict[MessageKey, str] = {}
        self._message_keys: dict[str, list[MessageKey]] = {}

    def __iter__(self) -> Iterator[LiveTask]:
        return iter(list(self._tasks.values()))

    def get(self, task_id: str) -> LiveTask | None:
        return self._tasks.get(task_id)

    def made_by(self, message_key: MessageKey) -> LiveTask | None:
        """The task that this very message made or continued, if it is remembered."""
        task_id = self._by_message.get(message_key)
        return self._tasks.get(task_id) if task_id is not None else None

    def add(self, live: LiveTask) -> None:
        self._tasks[live.id] = live

    def remember_message(self, message_key: MessageKey, task_id: str) -> None:
        self._by_message[message_key] = task_id
        self._message_keys.setdefault(task_id, []).append(message_key)

    def mark_running(self, live: LiveTask) -> None:
        """The task goes on: keep it until it settles again."""
        self._settled_bytes -= self._settled.pop(live.id, 0)

    def mark_settled(self, live: LiveTask) -> None:
        """Count the task among the settled ones and forget the oldest of them beyond the bounds.
        A skill that outlives its cancellation settles a task twice, or when it is long forgotten."""
        self.mark_running(live)
        if live.id not in self._tasks:
            return
        size = kept_bytes(live.task)
        self._settled[live.id] = size
        self._settled_bytes += size
        while len(self._settled) > self._max_tasks or (
            self._settled_bytes > self._max_bytes and len(self._settled) > 1
        ):
            self.forget(next(iter(self._settled)))

    def forget(self, task_id: str) -> None:
        """The task, and the messages that made it."""
        self._settled_bytes -= self._settled.pop(task_id, 0)
        self._tasks.pop(task_id, None)
        for key in self._message_keys.pop(task_id, ()):
            self._by_message.pop(key, None)
