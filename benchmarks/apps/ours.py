"""Our agent as its author writes it: one that echoes, one that yields a hundred chunks."""

from collections.abc import AsyncGenerator

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
