"""An agent that is only awake now and then, and that nobody can call: a timer starts it, it does what has
waited for it, says when it comes again, and ends.

`COORDINATOR_URL=http://127.0.0.1:8000 AGENT_MAILBOX_FILE=var/night.json python -m examples.night_agent`"""

import asyncio
from datetime import UTC, datetime, timedelta

from a2a import Agent, Request

agent = Agent(name="Night shift", description="Does at night what can wait.", version="1.0.0")


@agent.skill(
    id="night_report",
    description="Write the report that can wait until the night",
    tags=["report", "night"],
    examples=["write the night report about the harvest"],
)
async def night_report(request: Request) -> str:
    return f"# Night report\n\n{request.text}: done while everybody slept."


async def wake() -> int:
    """How many requests there were."""
    async with agent.awake() as mailbox:
        return await mailbox.work_off(next_active_at=datetime.now(UTC) + timedelta(days=1))


if __name__ == "__main__":
    print(f"Done: {asyncio.run(wake())} requests.")
