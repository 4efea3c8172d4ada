"""The loader of one process, made of its settings."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from a2a.database import Database
from coordinator.clock import Now
from coordinator.loader.loader import Loader
from coordinator.loader.state import Policy
from coordinator.settings import Settings, passed_on

# Beyond the drain and the time that open streams have to be read.
LAST_S = 5.0


@asynccontextmanager
async def running_loader(
    settings: Settings, database: Database, now: Now, *, join_token: str
) -> AsyncIterator[Loader | None]:
    """None where no folder is set. The agents join with `join_token`."""
    if settings.agents.dir is None:
        yield None
        return
    grace_s = settings.tasks.grace_s
    environment = passed_on() | {
        "COORDINATOR_URL": str(settings.coordinator_url).rstrip("/"),
        "COORDINATOR_JOIN_TOKEN": join_token,
        "LOG_LEVEL": settings.log_level,
        "LOG_FORMAT": settings.log_format,
        "AGENT_GRACE_S": str(grace_s),
        "PYTHONUNBUFFERED": "1",
    }
    policy = Policy(start_s=settings.agents.start_timeout_s, stop_s=2 * grace_s + LAST_S)
    # The agents log at the level that is set, so that what comes from them is wanted at any.
    output_level = max(logging.INFO, logging.getLevelNamesMapping()[settings.log_level.upper()])
    loader = Loader(
        settings.agents.dir,
        database,
        environment=environment,
        output_level=output_level,
        policy=policy,
        now=now,
    )
    async with loader.running():
        yield loader
