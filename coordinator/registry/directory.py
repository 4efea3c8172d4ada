"""The registry as the executor reads it: kept in memory for a moment, so that a step costs no query.

What is kept may be a second old. An answer that looks negative is therefore asked for again, `fresh`, before
anybody is told of it.
"""

import asyncio
from functools import partial

from a2a.database import Database
from coordinator.registry.routes import Route, list_routes

KEPT_S = 1.0
MAX_SKILLS = 10_000


class Directory:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._routes: dict[str, tuple[float, tuple[Route, ...]]] = {}
        self._asking: dict[str, asyncio.Task[tuple[Route, ...]]] = {}

    def known_routes(self, skill_id: str) -> tuple[Route, ...] | None:
        """Every agent with the skill, in whatever health it is; None where that has to be asked for."""
        kept = self._routes.get(skill_id)
        return kept[1] if kept is not None and asyncio.get_running_loop().time() - kept[0] < KEPT_S else None

    async def routes(self, skill_id: str, *, fresh: bool = False) -> tuple[Route, ...]:
        known = None if fresh else self.known_routes(skill_id)
        if known is not None:
            return known
        # After a restart a thousand steps may ask at once: those that come while one asks get its answer.
        asking = self._asking.get(skill_id)
        if asking is None or fresh:
            asking = asyncio.create_task(self._ask(skill_id), name=f"routes of {skill_id}")
            self._asking[skill_id] = asking
        return await asyncio.shield(asking)

    async def _ask(self, skill_id: str) -> tuple[Route, ...]:
        asked_at = asyncio.get_running_loop().time()
        try:
            found = tuple(await self._database.read(partial(list_routes, skill_id=skill_id)))
        finally:
            self._asking.pop(skill_id, None)
        if len(self._routes) >= MAX_SKILLS:
            self._routes.clear()
        self._routes[skill_id] = (asked_at, found)
        return found
