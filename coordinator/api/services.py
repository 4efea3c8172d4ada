"""What the routes work with, built once by the composition root and handed to each request."""

from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, Request

from a2a.database import Database
from coordinator.api.catalog import Catalog
from coordinator.clock import Now
from coordinator.settings import Settings
from coordinator.wiring import Executor


@dataclass(frozen=True, slots=True)
class Services:
    """`http` is the guarded client for registrations."""

    database: Database
    http: httpx.AsyncClient
    executor: Executor
    catalog: Catalog
    settings: Settings
    now: Now


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Use = Annotated[Services, Depends(_services)]
