# mypy: ignore-errors
"""The echo agent on fasta2a: its in-memory storage and broker, one worker in the server's process."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fasta2a import FastA2A, Worker
from fasta2a.broker import InMemoryBroker
from fasta2a.schema import Artifact, Message, Part, TaskIdParams, TaskSendParams
from fasta2a.storage import InMemoryStorage


class Echo(Worker[list[Message]]):
    async def run_task(self, params: TaskSendParams) -> None:
        task_id = params["id"]
        await self.storage.update_task(task_id, state="working")
        text = "".join(part.get("text", "") for part in params["message"]["parts"])
        await self.storage.update_task(task_id, state="completed", new_artifacts=self.build_artifacts(text))

    async def cancel_task(self, params: TaskIdParams) -> None:
        await self.storage.update_task(params["id"], state="canceled")

    def build_message_history(self, history: list[Message]) -> list[Message]:
        return history

    def build_artifacts(self, result: str) -> list[Artifact]:
        return [Artifact(artifact_id=str(uuid.uuid4()), name="result", parts=[Part(text=result)])]


def echo_app() -> FastA2A:
    broker, storage = InMemoryBroker(), InMemoryStorage()
    worker = Echo(broker=broker, storage=storage)

    @asynccontextmanager
    async def lifespan(app: FastA2A) -> AsyncIterator[None]:
        async with app.task_manager, worker.run():
            yield

    return FastA2A(storage=storage, broker=broker, name="Echo", lifespan=lifespan)
