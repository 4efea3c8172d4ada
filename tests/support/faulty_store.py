"""Tasks in memory, in a store that is slow or breaks where a test says so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from a2a.requests import TaskPushNotificationConfig
from a2a.stores.base import MessageKey, StoredTask
from a2a.stores.memory import MemoryTaskStore

Operation = Literal["create", "get", "made_by", "save", "forget", "put_push_config"]
# Before anything is written or read, or once it is and the caller has not heard of it.
Moment = Literal["before", "after"]


class Hold:
    """A call that waits: `reached` is set when it is there, and it goes on once `go` is set."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()


class FaultyStore(MemoryTaskStore):
    """Where nothing was said of an operation, it is that of the memory store."""

    def __init__(self) -> None:
        super().__init__()
        self._holds: dict[tuple[Operation, Moment], Hold] = {}
        self._breaks: dict[tuple[Operation, Moment], bool] = {}

    def hold(self, operation: Operation, moment: Moment) -> Hold:
        """The next call waits there; later ones do not."""
        hold = self._holds[operation, moment] = Hold()
        return hold

    def fail(self, operation: Operation, moment: Moment, *, always: bool = False) -> None:
        """The next call raises OSError there, or each one from now on."""
        self._breaks[operation, moment] = always

    async def create(self, stored: StoredTask, made_by: MessageKey) -> StoredTask:
        async with self._faults("create"):
            return await super().create(stored, made_by)

    async def get(self, task_id: str, owner: str) -> StoredTask | None:
        async with self._faults("get"):
            return await super().get(task_id, owner)

    async def made_by(self, key: MessageKey) -> StoredTask | None:
        async with self._faults("made_by"):
            return await super().made_by(key)

    async def save(
        self, stored: StoredTask, *, expected_version: int, continued_by: MessageKey | None = None
    ) -> bool:
        async with self._faults("save"):
            return await super().save(stored, expected_version=expected_version, continued_by=continued_by)

    async def forget(self, task_id: str) -> None:
        async with self._faults("forget"):
            await super().forget(task_id)

    async def put_push_config(
        self, task_id: str, config: TaskPushNotificationConfig, *, is_notified: bool
    ) -> None:
        async with self._faults("put_push_config"):
            await super().put_push_config(task_id, config, is_notified=is_notified)

    @asynccontextmanager
    async def _faults(self, operation: Operation) -> AsyncIterator[None]:
        await self._meet(operation, "before")
        yield
        await self._meet(operation, "after")

    async def _meet(self, operation: Operation, moment: Moment) -> None:
        hold = self._holds.pop((operation, moment), None)
        if hold is not None:
            hold.reached.set()
            await hold.go.wait()
        is_lasting = self._breaks.get((operation, moment))
        if is_lasting is False:
            del self._breaks[operation, moment]
        if is_lasting is not None:
            raise OSError(f"the store broke {moment} {operation}")
