"""An agent for tests that counts its executions in a file and takes as long as it is told."""

import asyncio
from pathlib import Path

from pydantic_settings import BaseSettings

from a2a import Agent, InputRequired, Progress, Request, SkillFailed


class SlowSettings(BaseSettings):
    slow_agent_log: Path
    slow_agent_name: str = "Slow Agent"
    slow_agent_seconds: float = 1.0


settings = SlowSettings()
agent = Agent(
    name=settings.slow_agent_name, description="Works slowly.", version="1.0.0", url="http://127.0.0.1:1"
)


@agent.skill(id="ponder", description="Ponder over a sentence", tags=["ponder"], examples=["ponder the moon"])
async def ponder(request: Request):  # type: ignore[no-untyped-def]  # noqa: ANN201 as an author would write it
    with settings.slow_agent_log.open("a") as log:
        log.write(f"{settings.slow_agent_name} {request.message.message_id}\n")
    yield Progress("pondering")
    await asyncio.sleep(settings.slow_agent_seconds)
    yield f"pondered: {request.text}"


@agent.skill(id="inquire", description="Ask which city is meant", tags=["inquire"])
async def inquire(request: Request) -> str:
    if not request.history:
        raise InputRequired("Which city?")
    return f"You said {request.text}."


@agent.skill(id="break", description="Break on purpose", tags=["break"])
async def break_down(_request: Request) -> str:
    raise SkillFailed("It broke on purpose.", retryable=False)


app = agent.app()
