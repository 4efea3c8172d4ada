"""The executor of one process, put together: the coordinator's own, or that of a process that only works."""

import os
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

from a2a.background import background_loop, every
from a2a.database import Database
from a2a.guard import AddressPolicy, guarded_client
from coordinator.clock import Now
from coordinator.executor.attempts import AttemptTools
from coordinator.executor.decide import RetryPolicy
from coordinator.executor.delivery import Durations, PushInbox
from coordinator.executor.dispatch import Dispatcher
from coordinator.executor.events import Wakeups
from coordinator.executor.faults import Fault
from coordinator.executor.inboxes import LOOK_EVERY_S, Inboxes
from coordinator.executor.intake import Intake
from coordinator.executor.journal import Journal
from coordinator.executor.mailbox import Mailboxes
from coordinator.executor.network import Network
from coordinator.executor.planning import Planning
from coordinator.executor.slots import Slots
from coordinator.executor.tools import RunTools
from coordinator.executor.webhook_rules import WebhookPolicy
from coordinator.executor.webhooks import WebhookSender
from coordinator.executor.worker import Worker, WorkerPolicy
from coordinator.registry.directory import Directory
from coordinator.registry.listing import Listing
from coordinator.settings import Settings
from models.ids import new_id

NOTIFICATIONS_PATH = "/api/notifications"


@dataclass(frozen=True, slots=True)
class Executor:
    """`news` wakes whoever watches a task, `rests` whoever waits until it ends or asks; `inboxes` takes the
    visits of agents that fetch their requests."""

    intake: Intake
    network: Network
    worker: Worker
    news: Wakeups
    rests: Wakeups
    pushes: PushInbox
    inboxes: Inboxes


async def start_executor(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database,
    http: httpx.AsyncClient,
    *,
    fault: Fault,
    now: Now,
) -> Executor:
    """`http` is the guarded client for steps. It runs until the stack is left, then drains."""
    own_url = str(settings.coordinator_url).rstrip("/")
    webhooks = await _webhooks(stack, settings, database, own_url, now)
    journal = Journal(database, fault)
    stack.push_async_callback(journal.close)
    pushes = PushInbox(own_url + NOTIFICATIONS_PATH)
    inboxes = Inboxes(database, now)
    looks = every(LOOK_EVERY_S, inboxes.look, name="inboxes")
    await stack.enter_async_context(background_loop(looks, name="inboxes"))
    directory = Directory(database)
    network = Network(Listing(database, now))
    stack.push_async_callback(network.close)
    planning = Planning(database, directory, network)
    tools = RunTools(
        database=database,
        journal=journal,
        planning=planning,
        directory=directory,
        attempts=AttemptTools(
            dispatcher=Dispatcher(http, Mailboxes(inboxes, now), pushes, fault),
            slots=Slots(settings.steps.max_running),
            durations=Durations(),
            step_timeout_s=settings.steps.timeout_s,
            now=now,
        ),
        retries=RetryPolicy(settings.steps.max_attempts, settings.steps.backoff_s),
        control=Wakeups(),
        news=Wakeups(),
        rests=Wakeups(),
        webhook_due=webhooks.wake,
        max_parallel_steps=settings.tasks.max_parallel_steps,
        inline_bytes=settings.steps.inline_bytes,
        look_again_s=settings.steps.look_again_s,
        artifact_url=lambda task_id, artifact_id: f"{own_url}/api/tasks/{task_id}/artifacts/{artifact_id}",
        now=now,
    )
    worker = await _worker(stack, settings, tools, fault)
    intake = Intake(tools, worker, default_deadline_s=settings.tasks.deadline_s, fault=fault)
    return Executor(intake, network, worker, tools.news, tools.rests, pushes, inboxes)


async def _worker(stack: AsyncExitStack, settings: Settings, tools: RunTools, fault: Fault) -> Worker:
    policy = WorkerPolicy(
        owner=f"{socket.gethostname()}:{os.getpid()}:{new_id('start')}",
        lease_s=settings.tasks.lease_s,
        max_running=settings.tasks.max_running,
    )
    worker = Worker(tools, policy, fault=fault)
    renewals = every(settings.tasks.lease_s / 3, worker.renew, name="leases")
    await stack.enter_async_context(background_loop(renewals, name="leases"))
    stack.push_async_callback(worker.drain, grace_s=settings.tasks.grace_s)
    await stack.enter_async_context(background_loop(worker.loop(), name="worker"))
    return worker


async def _webhooks(
    stack: AsyncExitStack, settings: Settings, database: Database, own_url: str, now: Now
) -> WebhookSender:
    policy = WebhookPolicy(max_attempts=settings.webhooks.max_attempts)
    allowed = AddressPolicy(
        allow_loopback=settings.webhooks.allow_loopback, allow_private=settings.webhooks.allow_private
    )
    http = await stack.enter_async_context(guarded_client(allowed, timeout_s=policy.timeout_s))
    sender = WebhookSender(database, http, coordinator_url=own_url, policy=policy, now=now)
    await stack.enter_async_context(background_loop(sender.loop(), name="webhooks"))
    return sender
