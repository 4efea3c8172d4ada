"""What goes on for ever has an end: agents that are gone, their history; and clocks that differ."""

from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from a2a.database import Database
from coordinator.clock import utc_now
from coordinator.health.deep import DeepProber
from coordinator.health.duty import give_up_duty, take_duty
from coordinator.health.probes import Probed, Prober
from coordinator.health.record import record
from coordinator.registry.canary import Rules
from coordinator.registry.store import find_known
from coordinator.registry.upkeep import DUTY, Upkeep
from coordinator.registry.withdrawal import LOST, withdraw_lost
from models.states import Admission, Evidence, HealthState
from models.tables import Agent, Duty, HealthCheck
from tests.integration.test_registry_races import HERE, world
from tests.support.databases import postgres_database
from tests.support.rows import insert_agent
from tests.support.waiting import eventually
from tests.unit.card_samples import card_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=8)
WEEK_AGO = NOW - timedelta(days=7)


@pytest.fixture
def postgres_database_url(postgres_server: str, postgres_template: str) -> Iterator[str]:
    with postgres_database(postgres_server, template=postgres_template) as url:
        yield url


# Agents that are gone


async def test_an_agent_that_is_gone_leaves_no_row_for_each_look(database_url: str) -> None:
    database = Database(database_url)
    agent_id = await database.write(insert_agent)
    look = partial(record, agent_id=agent_id, evidence=Evidence.PROBE, ok=False, detail="gone", now=NOW)
    for _ in range(20):
        await database.write(look)
    assert await database.read(_checks) == 3
    await database.close()


GONE: dict[str, Any] = {"health": HealthState.DOWN, "failures": 3, "health_since": LONG_AGO}


@pytest.mark.parametrize(
    ("columns", "is_lost"),
    [
        (GONE, True),
        ({**GONE, "health": HealthState.QUARANTINED}, True),
        ({**GONE, "admission": Admission.HELD, "held_for": "it joined without a join token"}, True),
        ({**GONE, "health_since": NOW}, False),
        ({**GONE, "failures": 0}, False),
        ({**GONE, "health": HealthState.UP}, False),
        ({**GONE, "is_drained": True}, False),
        ({**GONE, "admission": Admission.HELD, "held_for": "an operator holds it"}, False),
    ],
)
async def test_agents_that_do_not_answer_for_days_are_taken_out(
    database_url: str, columns: dict[str, Any], *, is_lost: bool
) -> None:
    database = Database(database_url)
    agent_id = await database.write(partial(insert_agent, **columns))
    assert await database.write(partial(withdraw_lost, before=WEEK_AGO, now=NOW)) == int(is_lost)
    row = await database.read(partial(find_known, agent_id=agent_id))
    assert row is not None
    assert (row.removed_at is not None) is is_lost
    await database.close()


async def test_an_agent_that_was_lost_comes_back_by_itself(database_url: str) -> None:
    async with world(database_url) as there:
        agent_id = await there.join()
        await there.database.write(lambda connection: connection.execute(update(Agent).values(GONE)))
        assert await there.database.write(partial(withdraw_lost, before=WEEK_AGO, now=NOW)) == 1
        assert (await there.row(agent_id)).health_reason == LOST
        assert await there.join(HERE) == agent_id
        assert (await there.row(agent_id)).removed_at is None


# Clocks


async def test_a_duty_is_had_by_one_whatever_the_clocks_of_the_others_say(postgres_database_url: str) -> None:
    ahead, behind = utc_now() + timedelta(minutes=5), utc_now() - timedelta(minutes=5)
    database = Database(postgres_database_url)

    async def takes(owner: str, now: datetime) -> bool:
        return await database.write(partial(take_duty, name="x", owner=owner, now=now, lease_s=10.0))

    assert await takes("behind", behind)
    assert not await takes("ahead", ahead), "nobody takes it from whoever has it"
    assert await takes("behind", behind)
    await database.write(partial(give_up_duty, name="x", owner="behind", now=behind))
    assert await takes("ahead", ahead)
    assert not await takes("behind", behind)
    await database.write(
        lambda connection: connection.execute(
            update(Duty).values(expires_at=utc_now() - timedelta(seconds=1))
        )
    )
    assert await takes("behind", behind), "nor waits longer than the lease for whoever is gone"
    await database.close()


@dataclass
class Sweeper:
    """The upkeep of one coordinator whose clock is off; `looks` counts the cards that it asked for."""

    database: Database
    off: timedelta
    looks: int = 0
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def now(self) -> datetime:
        return utc_now() + self.off

    async def start(self) -> None:
        def serve(_request: httpx.Request) -> httpx.Response:
            self.looks += 1
            return httpx.Response(200, json=card_json())

        http = await self.stack.enter_async_context(httpx.AsyncClient(transport=httpx.MockTransport(serve)))
        prober = Prober(self.database, http, _unchanged, interval_s=0.5, timeout_s=1.0, now=self.now)
        deep = DeepProber(self.database, _untried, interval_s=None, now=self.now)
        upkeep = Upkeep(self.database, str(self.off), prober, None, deep, Rules(0.1, 20), 7, self.now)
        await self.stack.enter_async_context(upkeep.running())


async def _unchanged(_probed: Probed, _fetched: object) -> None:
    pass


async def _untried(_agent_id: str) -> None:
    pass


async def test_coordinators_whose_clocks_differ_look_after_agents_one_at_a_time(
    postgres_database_url: str,
) -> None:
    """And no agent goes up and down: evidence is counted, not timed."""
    database = Database(postgres_database_url)
    agent_id = await database.write(
        partial(insert_agent, health_since=utc_now(), last_heartbeat_at=utc_now())
    )
    one, other = Sweeper(database, timedelta(minutes=5)), Sweeper(database, timedelta(minutes=-5))
    await one.start()
    await eventually(lambda: one.looks > 0, within_s=10)
    await other.start()
    seen = one.looks
    await eventually(lambda: one.looks >= seen + 3, within_s=10)
    assert other.looks == 0, DUTY

    await one.stack.aclose()
    await eventually(lambda: other.looks >= 2, within_s=10)
    await other.stack.aclose()
    row = await database.read(partial(find_known, agent_id=agent_id))
    assert row is not None
    assert (row.health, row.failures) == ("up", 0)
    assert await database.read(_checks) == 0
    await database.close()


def _checks(connection: Connection) -> int:
    return int(connection.execute(select(func.count(HealthCheck.id))).scalar_one())
