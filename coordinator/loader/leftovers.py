"""Agents of files that were deleted while no coordinator was there to see it."""

from collections.abc import Container
from functools import partial
from urllib.parse import urlsplit

import structlog
from sqlalchemy import Connection

from a2a.database import Database
from coordinator.clock import Now
from coordinator.loader.ports import HOST, is_free, is_ours
from coordinator.registry.store import list_agents
from coordinator.registry.withdrawal import withdraw_agent

log = structlog.get_logger(__name__)


async def withdraw_leftovers(database: Database, kept: Container[int], now: Now) -> None:
    """Take out whom the registry has on one of our ports, other than the `kept`, where nobody listens.
    Whoever it was can register again, so a mistake would mend itself."""
    for card_url in await database.read(_card_urls):
        parts = urlsplit(card_url)
        if parts.hostname != HOST or parts.port is None or not is_ours(parts.port) or parts.port in kept:
            continue
        if is_free(parts.port):
            await database.write(partial(withdraw_agent, card_url=card_url, now=now()))
            log.info("loader.leftover_removed", url=card_url)


def _card_urls(connection: Connection) -> list[str]:
    return [row.card_url for row, _ in list_agents(connection)]
