"""Where agents tell that a remote task has changed (A2A push notifications)."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from coordinator.api.openapi import PROBLEMS, problems
from coordinator.api.problems import BadRequest
from coordinator.api.services import Use
from coordinator.wiring import NOTIFICATIONS_PATH

router = APIRouter(tags=["operation"], responses=PROBLEMS)


@router.post(NOTIFICATIONS_PATH, status_code=204, summary="Take a push notification", responses=problems(404))
async def take_notification(
    use: Use, x_a2a_notification_token: Annotated[str, Header(max_length=200)] = ""
) -> Response:
    """Only that something has happened is taken from it: the task is then asked for at its agent."""
    if not use.executor.pushes.arrive(x_a2a_notification_token):
        raise BadRequest(404, "NOT_EXPECTED", "Nobody here waits for this notification any more.")
    return Response(status_code=204)
