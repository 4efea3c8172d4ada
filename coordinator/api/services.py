"""What the routes work with, built once by the composition root and handed to each request."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from a2a.database import Database
from coordinator.api.catalog import Catalog
from coordinator.clock import Now
from coordinator.loader.loader import Loader
from coordinator.registry.proving import Prover
from coordinator.registry.registration import Registry
from coordinator.settings import Settings
from coordinator.wiring import Executor


@dataclass(frozen=True, slots=True)
class Services:
    """`prover` is None where agents are used unproven; `loader` is there where AGENTS_DIR is set."""

    database: Database
    registry: Registry
    prover: Prover | None
    executor: Executor
    catalog: Catalog
    settings: Settings
    now: Now
    loader: Loader | None = None


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Use = Annotated[Services, Depends(_services)]
