"""Our agent as its author writes it: one that echoes, one that yields a hundred chunks, one that holds on."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from fastapi import FastAPI

from a2a import Agent, Request

CHUNKS = 100


def echo_app() -> FastAPI:
    agent = Agent(name="Echo", description="Repeats.", version="1.0.0", url="http://127.0.0.1:8010")

    @agent.skill(id="echo", description="Repeat what was said", tags=["echo"])
    async def echo(request: Request) -> str:
        return request.text

    return agent.app()


def chunks_app() -> FastAPI:
    agent = Agent(name="Chunks", description="Counts.", version="1.0.0", url="http://127.0.0.1:8010")

    @agent.skill(id="chunks", description="Yield chunks", tags=["chunks"])
    async def chunks(_request: Request) -> AsyncGenerator[str]:
        for number in range(CHUNKS):
            yield f"chunk {number} "

    return agent.app()


def held_app() -> FastAPI:
    """Writes a line into HELD_AGENT_LOG for each execution, and lets none end before it is told to."""
    log = Path(os.environ["HELD_AGENT_LOG"])
    is_released = asyncio.Event()
    agent = Agent(name="Held", description="Takes its time.", version="1.0.0")

    @agent.skill(id="hold", description="Hold a task until all are released", tags=["hold"])
    async def hold(request: Request) -> str:
        with log.open("a") as file:  # noqa: ASYNC230 a line, and before anything else
            file.write(f"{request.message.message_id}\n")
        await is_released.wait()
        return request.text

    @agent.skill(id="release", description="Let what is held end", tags=["release"])
    async def release(_request: Request) -> str:
        is_released.set()
        return "released"

    return agent.app()
