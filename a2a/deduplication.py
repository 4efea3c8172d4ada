"""The extension `urn:parley:deduplication:v1`: a message that is sent again is not done again.

An agent that declares it answers a message with the task it made the first time, if caller, messageId and
content are the same, for as long as its `memoryId` is. docs/extensions/deduplication.md says it in full.
"""

import hashlib
import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from a2a.card_types import AgentExtension
from a2a.types import Json

EXTENSION_URI = "urn:parley:deduplication:v1"
MAX_MEMORY_ID_CHARS = 200


def deduplication(store_url: str | None) -> AgentExtension:
    """What an agent of ours declares. In memory it knows its messages until it ends, in a store as long as
    that is kept."""
    if store_url is None:
        memory_id = secrets.token_hex(8)
    else:
        parsed = urlsplit(store_url)
        # Not of the password: the card is public.
        named = f"{parsed.scheme} {parsed.hostname} {parsed.port} {parsed.path}"
        memory_id = hashlib.sha256(named.encode()).hexdigest()[:16]
    return AgentExtension(
        uri=EXTENSION_URI,
        description="A message that is sent again is answered with the task it made.",
        params={"memoryId": memory_id},
    )


def memory_id_of(extensions: Iterable[Json]) -> str | None:
    """Of a card's extensions as JSON; None where the agent does not deduplicate."""
    for extension in extensions:
        declared: Any = extension if isinstance(extension, dict) else {}
        memory_id = (declared.get("params") or {}).get("memoryId")
        if declared.get("uri") == EXTENSION_URI and isinstance(memory_id, str) and memory_id:
            return memory_id[:MAX_MEMORY_ID_CHARS]
    return None
