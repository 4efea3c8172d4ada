"""An agent for tests that keeps an account of its executions and takes as long as it is told."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from pydantic_settings import BaseSettings

from a2a import Agent, InputRequired, Part, Progress, Request, SkillFailed
from tests.support import executions
from tests.support.executions import Execution


class SlowSettings(BaseSettings):
    slow_agent_log: Path
    slow_agent_name: str = "Slow Agent"
    slow_agent_seconds: float = 1.0
    slow_agent_result_bytes: int = 0


settings = SlowSettings()
agent = Agent(
    name=settings.slow_agent_name, description="Works slowly.", version="1.0.0", url="http://127.0.0.1:1"
)


def log(kind: str, request: Request) -> None:
    said = Execution(kind, settings.slow_agent_name, request.message.message_id, request.text)
    executions.append(settings.slow_agent_log, said)


async def work(request: Request) -> AsyncGenerator[Progress | str]:
    log("began", request)
    yield Progress("pondering")
    try:
        await asyncio.sleep(settings.slow_agent_seconds)
    except asyncio.CancelledError:
        log("canceled", request)
        raise
    log("done", request)
    yield f"pondered: {request.text}" + "." * settings.slow_agent_result_bytes


@agent.skill(id="ponder", description="Ponder over a sentence", tags=["ponder"], examples=["ponder the moon"])
async def ponder(request: Request) -> AsyncGenerator[Progress | str]:
    async for output in work(request):
        yield output


@agent.skill(id="sow", description="Sow a field, which nobody should do twice", tags=["sow", "no-failover"])
async def sow(request: Request) -> AsyncGenerator[Progress | str]:
    async for output in work(request):
        yield output


@agent.skill(id="note", description="Note a word at once", tags=["note"])
async def note(request: Request) -> str:
    log("began", request)
    return f"noted: {request.text}"


@agent.skill(id="split", description="Split a sentence into words", tags=["split"])
async def split(request: Request) -> Part:
    log("began", request)
    return Part.from_data(request.text.split())


@agent.skill(id="inquire", description="Ask which city is meant", tags=["inquire"])
async def inquire(request: Request) -> str:
    log("began", request)
    if not request.history:
        raise InputRequired("Which city?")
    return f"You said {request.text}."


@agent.skill(id="stumble", description="Fail the first time", tags=["stumble"])
async def stumble(request: Request) -> str:
    is_first = all(known.text != request.text for known in executions.read(settings.slow_agent_log))
    log("began", request)
    if is_first:
        raise SkillFailed("It stumbled.", retryable=True)
    return "It went well."


@agent.skill(id="break", description="Break on purpose", tags=["break"])
async def break_down(request: Request) -> str:
    log("began", request)
    raise SkillFailed("It broke on purpose.", retryable=False)


@agent.skill(id="mend", description="Mend on purpose what others break", tags=["mend"])
async def mend(request: Request) -> str:
    log("began", request)
    return "mended"


app = agent.app()
