"""Files that come as links (url parts): fetched through the guard, bounded in size, time and number at once.

What is in a file, and what becomes of a request whose file cannot be had, is the agent's affair.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
import structlog

from a2a.addresses import AddressPolicy
from a2a.errors import A2AError, AddressRefused, ResponseTooLarge
from a2a.guard import guarded_client, read_capped
from a2a.types import Part

AT_ONCE = 4
_RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
# UnicodeError: what httpx raises for a host such as "xn--", which is none.
_EXPECTED = (
    httpx.HTTPError,
    httpx.InvalidURL,
    UnicodeError,
    AddressRefused,
    ResponseTooLarge,
    TimeoutError,
)

log = structlog.get_logger(__name__)


class AttachmentUnreadable(A2AError):
    """A link that gave no file. `reason` is for the user and completes "data.csv was skipped: ...";
    `retryable` says whether the link may give it later."""

    def __init__(self, part: Part, reason: str, *, retryable: bool = False) -> None:
        self.part = part
        self.reason = reason
        self.retryable = retryable
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """`max_bytes` and `timeout_s` are for one file, redirects included; `max_total_bytes` is for all."""

    max_bytes: int
    max_total_bytes: int
    timeout_s: float


async def fetch_links(
    parts: Sequence[Part], policy: AddressPolicy, limits: LinkLimits
) -> list[Part | AttachmentUnreadable]:
    """The parts in their order; in place of each link the file it leads to, or why there is none.

    A fetched part has the link's file name and metadata, and its media type, or else the one of the answer.
    """
    if all(part.url is None for part in parts):
        return list(parts)
    async with guarded_client(policy, timeout_s=limits.timeout_s) as http, asyncio.TaskGroup() as group:
        fetching = _Fetching(http, limits)
        fetched = [group.create_task(fetching.part(part)) for part in parts]
    return [task.result() for task in fetched]


class _Fetching:
    """The links of one request."""

    def __init__(self, http: httpx.AsyncClient, limits: LinkLimits) -> None:
        self._http = http
        self._limits = limits
        self._room = limits.max_total_bytes
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def part(self, part: Part) -> Part | AttachmentUnreadable:
        if part.url is None:
            return part
        try:
            async with self._gate, asyncio.timeout(self._limits.timeout_s):
                return await self._get(part, part.url)
        except AttachmentUnreadable as exc:
            unreadable = exc
        except _EXPECTED as exc:
            unreadable = _unreadable(part, exc, self._limits)
        log.info("attachment.not_fetched", reason=unreadable.reason, retryable=unreadable.retryable)
        return unreadable

    async def _get(self, part: Part, url: str) -> Part:
        async with self._http.stream("GET", url, headers={"Accept": part.media_type or "*/*"}) as response:
            status = response.status_code
            if not response.is_success:
                reason = f"its link answered with status {status}"
                raise AttachmentUnreadable(part, reason, retryable=status in _RETRYABLE)
            raw = await read_capped(response, max_bytes=self._limits.max_bytes)
        self._room -= len(raw)
        if self._room < 0:
            total = self._limits.max_total_bytes
            raise AttachmentUnreadable(part, f"the linked files are over {total:,} bytes together")
        said = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Part(
            raw=raw,
            media_type=part.media_type or said or None,
            filename=part.filename,
            metadata=part.metadata,
        )


def _unreadable(part: Part, exc: Exception, limits: LinkLimits) -> AttachmentUnreadable:
    match exc:
        case AddressRefused():
            reason = "its link leads to an address that this agent may not connect to"
        case ResponseTooLarge():
            reason = f"it is over {limits.max_bytes:,} bytes"
        case TimeoutError() | httpx.TimeoutException():
            reason = f"its link gave no whole file within {limits.timeout_s:g} s"
            return AttachmentUnreadable(part, reason, retryable=True)
        case httpx.InvalidURL() | httpx.UnsupportedProtocol() | httpx.LocalProtocolError() | UnicodeError():
            reason = "its link is no address of the form http://... or https://..."
        case httpx.TooManyRedirects():
            reason = "its link redirects too often"
        case httpx.DecodingError():
            reason = "what its link gave is not compressed as it says"
        case _:
            return AttachmentUnreadable(part, "its link cannot be reached", retryable=True)
    return AttachmentUnreadable(part, reason)
