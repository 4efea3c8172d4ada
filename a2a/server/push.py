"""The sender of push notifications (specification 4.3.3): the events of a task, posted to its receivers.

Each receiver gets the events in order and at its own pace; what it does holds up nobody else. Which receivers
a task has, and which of them still have to be told of its end, is known elsewhere.
"""

import asyncio
import ipaddress
import random
import re
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import httpx
import structlog

from a2a.errors import AddressRefused, FieldViolation, InvalidParams
from a2a.fold import TaskFold
from a2a.guard import Address, AddressPolicy
from a2a.requests import TaskPushNotificationConfig
from a2a.server.live import Event, Follower
from a2a.types import (
    PROTOCOL_VERSION,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)

log = structlog.get_logger(__name__)

# The receiver is given up on after so many events in a row that it did not get.
MAX_DROPPED = 3
# Chunks are put together as long as the receiver need not take more than this at once.
MAX_MERGED_BYTES = 512 * 1024
# An answer is read to its end so that the connection can be used again, if that does not take much.
MAX_DRAINED_BYTES = 16 * 1024
MAX_DRAIN_S = 1.0

RETRIED_STATUSES = (408, 425, 429)
RETRIED_ERRORS = (TimeoutError, httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)

_SCHEME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Beyond ASCII, clients and servers do not agree on what the bytes of a header mean.
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")
_SECONDS = re.compile(r"[0-9]{1,9}")

OnEnd = Callable[[], Awaitable[None]]
Key = tuple[str, str]


def check_push_config(config: TaskPushNotificationConfig, policy: AddressPolicy) -> None:
    """What can be known without connecting; what a name resolves to is checked at each connection. Raises
    InvalidParams."""
    found = [_url_violation(config.url, policy), _value_violation("token", config.token)]
    authentication = config.authentication
    if authentication is not None:
        found.append(_value_violation("authentication.credentials", authentication.credentials))
        if not _SCHEME.fullmatch(authentication.scheme):
            rule = "give the name of one HTTP authentication scheme, such as Bearer"
            found.append(FieldViolation("authentication.scheme", rule))
    violations = [violation for violation in found if violation is not None]
    if violations:
        raise InvalidParams(violations=violations)


def _value_violation(field: str, value: str | None) -> FieldViolation | None:
    if _HEADER_VALUE.fullmatch(value or ""):
        return None
    return FieldViolation(field, "use printable ASCII characters, with no space at either end")


def _url_violation(text: str, policy: AddressPolicy) -> FieldViolation | None:
    try:
        url = httpx.URL(text)
        host = url.raw_host.decode("ascii").rstrip(".")
    except (httpx.InvalidURL, ValueError):
        return FieldViolation("url", "this is no URL; give an absolute http or https URL")
    if url.scheme not in ("http", "https") or not host:
        return FieldViolation("url", "give an absolute http or https URL")
    if url.userinfo:
        return FieldViolation("url", "give the credentials in authentication, not in the URL")
    if url.port is not None and not 0 < url.port < 65_536:
        return FieldViolation("url", "give a port from 1 to 65535")
    address = _literal(host)
    if address is not None and not policy.permits(address):
        return FieldViolation("url", "notifications are not sent to this address; give a public one")
    return None


def _literal(host: str) -> Address | None:
    """The address that a host stands for without being looked up, however it is written."""
    if host == "localhost" or host.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    with suppress(OSError):
        return ipaddress.IPv4Address(socket.inet_aton(host))
    return None


def merged(events: Iterable[Event]) -> Iterator[Event]:
    """The same events, with consecutive chunks of one artifact as one: what they fold to is the same."""
    run: list[Event] = []
    size = 0
    for event in events:
        size += len(event.json)
        if run and (size > MAX_MERGED_BYTES or not _continues(run[-1], event)):
            yield _joined(run)
            run, size = [], len(event.json)
        run.append(event)
    if run:
        yield _joined(run)


def _continues(event: Event, later: Event) -> bool:
    chunk, next_chunk = event.response.artifact_update, later.response.artifact_update
    if chunk is None or next_chunk is None or chunk.last_chunk or not next_chunk.append:
        return False
    return _without_parts(chunk) == _without_parts(next_chunk)


def _without_parts(chunk: TaskArtifactUpdateEvent) -> tuple[object, ...]:
    of = chunk.artifact
    return of.artifact_id, of.name, of.description, of.metadata, of.extensions, chunk.metadata


def _joined(run: Sequence[Event]) -> Event:
    if len(run) == 1:
        return run[0]
    # Chunk by chunk, as the receiver would have: it joins up the text of a chunk with what was there before.
    fold = TaskFold(Task(id="merged", status=TaskStatus(state=TaskState.WORKING)))
    chunks = [chunk for event in run if (chunk := event.response.artifact_update)]
    for chunk in chunks:
        fold.apply_artifact(chunk)
    artifact = (fold.task.artifacts or [])[0]
    whole = chunks[0].model_copy(update={"artifact": artifact, "last_chunk": chunks[-1].last_chunk})
    return Event(partial(StreamResponse, artifact_update=whole))


@dataclass(frozen=True, slots=True)
class _Answer:
    """How one attempt went. `outcome` is the status, or the kind of error."""

    outcome: int | str
    is_delivered: bool = False
    is_retryable: bool = False
    retry_after_s: float = 0.0


@dataclass(slots=True)
class _Telling:
    """One turn of a task on its way to one receiver. `reader` takes the events from the task as they come,
    which leaves the task to go on; None ends `events`. A turn's own bounds are those of the queue."""

    task_id: str
    config: TaskPushNotificationConfig
    events: asyncio.Queue[Event | None]
    on_end: OnEnd
    reader: asyncio.Task[None] | None = None
    sender: asyncio.Task[None] | None = None

    def cancel(self) -> None:
        for task in (self.reader, self.sender):
            if task is not None:
                task.cancel()

    def fields(self) -> dict[str, str | None]:
        """Who is told of what, for the log: a receiver's path and query may be secrets."""
        host = httpx.URL(self.config.url).host
        return {"task_id": self.task_id, "config_id": self.config.id, "host": host}


class PushSender:
    """Posts notifications through `http`, which decides where connections may go.

    An event is tried `attempts` times, at most `timeout_s` each; the pauses between start at `first_pause_s`
    and double up to `max_pause_s`, which is also the most that a receiver can ask for. At most
    `max_deliveries` requests run at once.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        attempts: int = 5,
        first_pause_s: float = 0.5,
        max_pause_s: float = 30.0,
        timeout_s: float = 15.0,
        max_deliveries: int = 64,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._http = http
        self._attempts = attempts
        self._first_pause_s = first_pause_s
        self._max_pause_s = max_pause_s
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(max_deliveries)
        self._sleep = sleep
        self._uniform = uniform
        self._tellings: dict[Key, list[_Telling]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def follow(
        self, task_id: str, config: TaskPushNotificationConfig, follower: Follower, on_end: OnEnd
    ) -> None:
        """Tell the receiver what the follower reads, after what it was told of the task before, and close
        the follower. `on_end` is awaited once the receiver was told that the task has ended, or cannot be."""
        telling = _Telling(task_id, config, asyncio.Queue(), on_end)
        telling.reader = self._spawn(_read(follower, telling.events), f"push reader {task_id} {config.id}")
        telling.reader.add_done_callback(lambda _: follower.close())
        self._start(telling)

    def is_following(self, task_id: str, config_id: str) -> bool:
        """Whether the receiver will learn how the task's present turn goes. Of a turn that is over it may
        still have to be told."""
        tellings = self._tellings.get((task_id, config_id), ())
        return any(telling.reader is not None and not telling.reader.done() for telling in tellings)

    def notify_end(self, task_id: str, config: TaskPushNotificationConfig, task: Task, on_end: OnEnd) -> None:
        """Tell the receiver of a task that ended when nobody could tell it."""
        telling = _Telling(task_id, config, asyncio.Queue(), on_end)
        telling.events.put_nowait(Event(partial(StreamResponse, task=task)))
        telling.events.put_nowait(None)
        self._start(telling)

    def stop(self, task_id: str, config_id: str) -> None:
        """The receiver is told no more; `on_end` is not called."""
        for telling in self._tellings.pop((task_id, config_id), ()):
            telling.cancel()

    async def close(self, *, grace_s: float) -> None:
        """Let deliveries finish for `grace_s` seconds, then cancel what is left: its `on_end` is not called,
        so that it is told again after the restart."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, telling: _Telling) -> None:
        key = telling.task_id, telling.config.id or ""
        before = self._tellings.setdefault(key, [])
        previous = before[-1].sender if before else None
        before.append(telling)
        telling.sender = self._spawn(self._tell(telling, previous), f"push {' '.join(key)}")
        telling.sender.add_done_callback(lambda _: self._forget(key, telling))

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _forget(self, key: Key, telling: _Telling) -> None:
        telling.cancel()  # the reader may go on where the sender crashed
        others = [other for other in self._tellings.pop(key, ()) if other is not telling]
        if others:
            self._tellings[key] = others

    async def _tell(self, telling: _Telling, previous: asyncio.Task[None] | None) -> None:
        if previous is not None:
            await asyncio.wait([previous])
        try:
            has_ended = await self._tell_all(telling)
            if telling.reader is not None:
                await telling.reader
            if has_ended:
                await telling.on_end()
        except Exception:
            # The next start of the process tells the receiver of the end.
            log.exception("push.crashed", **telling.fields())

    async def _tell_all(self, telling: _Telling) -> bool:
        """True where the last event was the end of the task."""
        dropped = 0
        state: TaskState | None = None
        batch: list[Event | None] = []
        while None not in batch:
            batch = await _all_there_is(telling.events)
            for event in merged(event for event in batch if event is not None):
                state = _state_of(event)
                if dropped >= MAX_DROPPED and not _is_settled(state):
                    continue
                if await self._deliver(telling, event.json):
                    dropped = 0
                    continue
                dropped += 1
                if dropped == MAX_DROPPED:
                    log.warning("push.given_up", **telling.fields())
        return state is not None and state.is_terminal

    async def _deliver(self, telling: _Telling, body: bytes) -> bool:
        """Whether the receiver took it, in the end."""
        for attempt in range(1, self._attempts + 1):
            async with self._slots:
                answer = await self._post(telling.config, body)
            if answer.is_delivered:
                return True
            fields = {**telling.fields(), "outcome": answer.outcome, "attempt": attempt}
            if not answer.is_retryable or attempt == self._attempts:
                log.warning("push.dropped", **fields)
                break
            log.info("push.failed", **fields)
            await self._sleep(self._pause_s(attempt, answer.retry_after_s))
        return False

    def _pause_s(self, failures: int, retry_after_s: float) -> float:
        """At random, so that what failed together does not come again together."""
        longest_s: float = min(self._first_pause_s * 2 ** min(failures - 1, 30), self._max_pause_s)
        return max(longest_s * self._uniform(0.5, 1.0), min(retry_after_s, self._max_pause_s))

    async def _post(self, config: TaskPushNotificationConfig, body: bytes) -> _Answer:
        answer: _Answer | None = None
        try:
            async with (
                # Over the whole: a receiver that sends a byte at a time never meets a timeout of httpx.
                asyncio.timeout(self._timeout_s),
                self._http.stream(
                    "POST",
                    config.url,
                    content=body,
                    headers=_headers(config),
                    timeout=self._timeout_s,
                    follow_redirects=False,
                ) as response,
            ):
                answer = _judged(response)
                await _drain(response)
        except (httpx.HTTPError, httpx.InvalidURL, AddressRefused, TimeoutError, ValueError) as exc:
            if answer is None:
                return _Answer(type(exc).__name__, is_retryable=isinstance(exc, RETRIED_ERRORS))
        return answer


async def _read(follower: Follower, events: asyncio.Queue[Event | None]) -> None:
    try:
        while batch := await follower.batch():
            for event in batch:
                events.put_nowait(event)
    finally:
        events.put_nowait(None)


async def _all_there_is(events: asyncio.Queue[Event | None]) -> list[Event | None]:
    """One at least."""
    batch = [await events.get()]
    while not events.empty():
        batch.append(events.get_nowait())
    return batch


def _state_of(event: Event) -> TaskState | None:
    told = event.response.task or event.response.status_update
    return told.status.state if told is not None else None


def _is_settled(state: TaskState | None) -> bool:
    """Nothing more comes in this turn."""
    return state is not None and state.is_settled


def _headers(config: TaskPushNotificationConfig) -> dict[str, str]:
    headers = {"Content-Type": "application/a2a+json", "A2A-Version": PROTOCOL_VERSION}
    if config.authentication is not None:
        authentication = config.authentication
        headers["Authorization"] = f"{authentication.scheme} {authentication.credentials or ''}".rstrip()
    if config.token:
        headers["X-A2A-Notification-Token"] = config.token
    return headers


def _judged(response: httpx.Response) -> _Answer:
    status = response.status_code
    wished = response.headers.get("retry-after", "")
    wished_s = float(wished) if _SECONDS.fullmatch(wished) else 0.0
    is_retryable = status >= 500 or status in RETRIED_STATUSES
    return _Answer(status, 200 <= status < 300, is_retryable, wished_s)


async def _drain(response: httpx.Response) -> None:
    """As it came: what is never used need not be decompressed."""
    size = 0
    async with asyncio.timeout(MAX_DRAIN_S):
        async for chunk in response.aiter_raw():
            size += len(chunk)
            if size > MAX_DRAINED_BYTES:
                return
