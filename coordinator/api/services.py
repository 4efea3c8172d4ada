"""What the routes work with, built once by the composition root and handed to each request."""

from dataclasses import dataclass
from typing import Annotated

import httpx
from fastapi import Depends, Request

from a2a.database import Database
from coordinator.clock import Now
from coordinator.executor.delivery import PushInbox
from coordinator.executor.events import Wakeups
from coordinator.executor.intake import Intake
from coordinator.executor.planning import Planning
from coordinator.executor.worker import Worker
from coordinator.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """`http` is the guarded client for registrations."""

    database: Database
    http: httpx.AsyncClient
    intake: Intake
    planning: Planning
    worker: Worker
    news: Wakeups
    rests: Wakeups
    pushes: PushInbox
    settings: Settings
    now: Now


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Use = Annotated[Services, Depends(_services)]
