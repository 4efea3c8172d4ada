"""Tells the URL that a task came with that the task has ended (Standard Webhooks 1.0.0).

Owns webhook_deliveries, from the row that is written with the end of a task on. Which URLs and secrets are
taken is decided elsewhere. A receiver may be told twice, then with the same `webhook-id`.
"""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import partial

import httpx
import structlog
from sqlalchemy import Connection, insert, select, update

from a2a.database import Database
from a2a.errors import AddressRefused
from a2a.types import Json
from coordinator.clock import Now
from coordinator.executor.webhook_rules import (
    DeliveryState,
    Outcome,
    Refused,
    WebhookPolicy,
    after,
    failure,
    judged,
    signature,
)
from models.ids import new_id
from models.states import DeliveryStatus
from models.tables import Task, WebhookDelivery

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
MAX_AT_ONCE = 20
# How much longer than a request may take its row stays claimed; after that it counts as abandoned.
CLAIM_MARGIN_S = 45.0
# An answer is read to its end so that the connection can be used again, if that does not take much.
MAX_DRAINED_BYTES = 64 * 1024
MAX_DRAIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed row. Its attempt's number fences what is recorded: each claim counts one up."""

    id: str
    task_id: str
    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    attempt: int


def insert_delivery(connection: Connection, task_id: str, webhook: Mapping[str, Json], now: datetime) -> None:
    """For the transaction that ends the task. `webhook` is `{"url": ..., "secret": ... | null}`."""
    connection.execute(
        insert(WebhookDelivery).values(
            id=new_id("delivery"),
            task_id=task_id,
            url=webhook["url"],
            secret=webhook.get("secret"),
            status=DeliveryStatus.PENDING,
            attempts=0,
            next_try_at=now,
            created_at=now,
        )
    )


class WebhookSender:
    """Sends through `http`, which has to be a guarded client: webhook URLs are anybody's."""

    def __init__(
        self,
        database: Database,
        http: httpx.AsyncClient,
        *,
        coordinator_url: str,
        now: Now,
        policy: WebhookPolicy,
    ) -> None:
        self._database = database
        self._http = http
        self._coordinator_url = coordinator_url.rstrip("/")
        self._now = now
        self._policy = policy
        self._free = MAX_AT_ONCE
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A task has ended."""
        self._wake.set()

    async def loop(self) -> None:
        """Never ends by itself. What it sends when it is canceled is sent again after its claim."""
        async with asyncio.TaskGroup() as deliveries:
            while True:
                self._wake.clear()
                try:
                    await self._start_due(deliveries)
                except Exception:
                    # The database may be away for a moment.
                    log.exception("webhook.look_failed")
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._wake.wait()

    async def _start_due(self, deliveries: asyncio.TaskGroup) -> None:
        if self._free == 0:
            return
        now = self._now()
        until = now + timedelta(seconds=self._policy.timeout_s + CLAIM_MARGIN_S)
        for delivery in await self._database.write(partial(_claim, limit=self._free, now=now, until=until)):
            self._free -= 1
            deliveries.create_task(self._deliver(delivery), name=f"webhook {delivery.id}")

    async def _deliver(self, delivery: Delivery) -> None:
        fields = {"task_id": delivery.task_id, "delivery_id": delivery.id, "attempt": delivery.attempt}
        try:
            outcome = await self._attempt(delivery)
            state = after(delivery.attempt, outcome, self._now(), self._policy, random.random())  # noqa: S311 no secret
            if await self._database.write(partial(_record, delivery=delivery, state=state)):
                _report(state, fields)
        except Exception:
            # The row is still claimed, so that it is found again; it is not for ever, as each claim counts.
            log.exception("webhook.crashed", **fields)
        finally:
            self._free += 1
            self._wake.set()

    async def _attempt(self, delivery: Delivery) -> Outcome:
        if delivery.attempt > self._policy.max_attempts:
            return Refused("It is not known how the last attempt ended.")
        body = await self._database.read(
            partial(_body, task_id=delivery.task_id, coordinator_url=self._coordinator_url)
        )
        timestamp = int(self._now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
        }
        if delivery.secret is not None:
            try:
                headers["webhook-signature"] = signature(delivery.secret, delivery.id, timestamp, body)
            except ValueError:
                return Refused("The secret is empty, or is not base64 after whsec_.")
        return await self._post(delivery.url, headers, body)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> Outcome:
        outcome: Outcome | None = None
        timeout_s = self._policy.timeout_s
        try:
            async with (
                # Over the whole: a receiver that sends a byte at a time never meets a timeout of httpx.
                asyncio.timeout(timeout_s),
                self._http.stream(
                    "POST", url, content=body, headers=headers, timeout=timeout_s, follow_redirects=False
                ) as response,
            ):
                outcome = judged(response.status_code, response.headers.get("retry-after"), self._now())
                await _drain(response)
        except (httpx.HTTPError, httpx.InvalidURL, AddressRefused, TimeoutError, ValueError) as exc:
            if outcome is None:
                return failure(exc, timeout_s)
        return outcome


async def _drain(response: httpx.Response) -> None:
    """As it came: what is never used need not be decompressed."""
    size = 0
    async with asyncio.timeout(MAX_DRAIN_S):
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size >= MAX_DRAINED_BYTES:
                return


def _claim(connection: Connection, *, limit: int, now: datetime, until: datetime) -> list[Delivery]:
    """Due rows, the longest due first. PostgreSQL evaluates a WITH that locks once, so that the limit holds;
    a subquery in IN it may evaluate again for each row."""
    due = (
        select(WebhookDelivery.id)
        .where(WebhookDelivery.status == DeliveryStatus.PENDING, WebhookDelivery.next_try_at <= now)
        .order_by(WebhookDelivery.next_try_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    row = WebhookDelivery
    claimed = connection.execute(
        update(row)
        .where(row.id.in_(select(due.c.id)))
        .values(attempts=row.attempts + 1, next_try_at=until)
        .returning(row.id, row.task_id, row.url, row.secret, row.attempts)
    )
    return [Delivery(*values) for values in claimed]


def _record(connection: Connection, *, delivery: Delivery, state: DeliveryState) -> bool:
    """False where somebody else has claimed the row since."""
    recorded = connection.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.id == delivery.id,
            WebhookDelivery.status == DeliveryStatus.PENDING,
            WebhookDelivery.attempts == delivery.attempt,
        )
        .values(asdict(state))
        .returning(WebhookDelivery.id)
    )
    return recorded.scalar_one_or_none() is not None


def _body(connection: Connection, *, task_id: str, coordinator_url: str) -> bytes:
    """The task has ended, so this is the same in every attempt."""
    columns = (Task.session_id, Task.status, Task.error, Task.gaps, Task.completed_at)
    task = connection.execute(select(*columns).where(Task.id == task_id)).one()
    completed_at = task.completed_at.isoformat().replace("+00:00", "Z")
    payload = {
        "type": f"task.{task.status}",
        "timestamp": completed_at,
        "data": {
            "task_id": task_id,
            "session_id": task.session_id,
            "status": task.status,
            "error": task.error,
            "gaps": task.gaps,
            "completed_at": completed_at,
            "url": f"{coordinator_url}/api/tasks/{task_id}",
        },
    }
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def _report(state: DeliveryState, fields: Mapping[str, Json]) -> None:
    if state.status is DeliveryStatus.DELIVERED:
        log.info("webhook.delivered", **fields)
    elif state.status is DeliveryStatus.PENDING:
        next_try_at = state.next_try_at.isoformat()
        log.info("webhook.retrying", **fields, reason=state.last_error, next_try_at=next_try_at)
    else:
        log.warning("webhook.gave_up", **fields, reason=state.last_error)
