"""Our agent for the SDKs' clients; it behaves as the SDKs' agents do in peers/: the first word says how.
`interop_agent` makes one that also speaks 0.3, or not."""

import asyncio
from collections.abc import AsyncGenerator

from a2a import Agent, InputRequired, Progress, Request, SkillFailed


def interop_agent(*, serves_v03: bool = False) -> Agent:
    agent = Agent(
        name="Interop",
        description="Does as told.",
        version="1.0.0",
        url="http://127.0.0.1:8010",
        serves_v03=serves_v03,
    )
    agent.skill(
        id="obey",
        description="echo TEXT, chunks, ask, wait until canceled, or fail",
        tags=["test"],
        examples=["echo hello"],
    )(obey)
    return agent


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
