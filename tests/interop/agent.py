"""Our agent for the SDK's client; it behaves as the SDK's agents do in peers/: the first word says how."""

import asyncio
from collections.abc import AsyncGenerator

from a2a import Agent, InputRequired, Progress, Request, SkillFailed

agent = Agent(name="Interop", description="Does as told.", version="1.0.0", url="http://127.0.0.1:8010")


@agent.skill(
    id="obey",
    description="echo TEXT, chunks, ask, wait until canceled, or fail",
    tags=["test"],
    examples=["echo hello"],
)
async def obey(request: Request) -> AsyncGenerator[str | Progress]:
    if request.history:
        yield f"you said {request.text}"
        return
    word, _, rest = request.text.partition(" ")
    match word:
        case "chunks":
            for number in range(3):
                yield f"chunk {number} "
        case "ask":
            raise InputRequired("Which city?")
        case "wait":
            yield Progress("waiting")
            await asyncio.Event().wait()
        case "fail":
            raise SkillFailed("It failed, as told.")
        case _:
            yield rest
