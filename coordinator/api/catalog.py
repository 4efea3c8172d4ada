"""The network as a catalog of Agentic Resource Discovery: an entry for each agent that may get work."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from a2a.card_types import WELL_KNOWN_PATH
from coordinator.api.discovery_schemas import AGENT_CARD, REGISTRY, CatalogEntry, CatalogHost, Manifest
from coordinator.executor.network import Network
from coordinator.planner.search import Wanted, search
from coordinator.registry.listing import ListedAgent
from coordinator.version import VERSION

# What the draft's naming guide recommends for what has no domain of its own.
LOCAL_PUBLISHER = "agent.localhost"
MAX_DESCRIPTION_CHARS = 1_000
MAX_TAGS = 50
MAX_QUERIES = 5
MIN_QUERIES = 2
# Where relevance is cut off: so many skills, best first, make the matched set of a text.
MATCHED_SKILLS = 1_000


@dataclass(frozen=True, slots=True)
class Item:
    agent: ListedAgent
    entry: CatalogEntry


@dataclass(frozen=True, slots=True)
class Match:
    entry: CatalogEntry
    score: int  # 0 to 100


class Catalog:
    """`own_url` is the coordinator's. What it makes is kept until an agent comes, goes or changes."""

    def __init__(self, network: Network, own_url: str) -> None:
        self.own_url = own_url.rstrip("/")
        self._publisher = publisher_of(own_url)
        self._network = network
        self._edition = -1
        self._items: dict[str, Item] = {}
        self._manifest = b""
        self._lock = asyncio.Lock()

    async def items(self, *, fresh: bool = False) -> Mapping[str, Item]:
        """By agent id, in the order of their names."""
        await self._network.index(fresh=fresh)
        async with self._lock:
            edition = self._network.edition
            if edition != self._edition:
                agents = self._network.usable()
                # Ten thousand entries take half a second: not on the event loop.
                self._items, self._manifest = await asyncio.to_thread(self._build, agents, self._items)
                self._edition = edition
            return self._items

    async def manifest(self) -> bytes:
        """The document at /.well-known/ai-catalog.json."""
        await self.items(fresh=True)
        return self._manifest

    async def matching(self, text: str) -> list[Match]:
        """The agents whose skills are relevant to the text, best first."""
        found = await self._matching(text, fresh=False)
        # What was kept of the registry may be a moment old.
        return found or await self._matching(text, fresh=True)

    async def _matching(self, text: str, *, fresh: bool) -> list[Match]:
        items = await self.items(fresh=fresh)
        index = await self._network.index()
        best: dict[str, Match] = {}
        for skill in search(index.postings, text, Wanted(), MATCHED_SKILLS):
            agent_id = skill.offer.agent_id
            if agent_id in items and agent_id not in best:
                best[agent_id] = Match(items[agent_id].entry, round(100 * skill.score))
        return list(best.values())

    def _build(
        self, agents: Sequence[ListedAgent], known: Mapping[str, Item]
    ) -> tuple[dict[str, Item], bytes]:
        items = {}
        for agent in agents:
            item = known.get(agent.id)
            is_same = item is not None and item.agent is agent
            items[agent.id] = item if item and is_same else Item(agent, _entry(agent, self._publisher))
        entries = [*self._own_entries(), *(item.entry for item in items.values())]
        host = CatalogHost(display_name="Parley coordinator", identifier=self._publisher)
        manifest = Manifest(host=host, entries=entries)
        return items, manifest.model_dump_json(exclude_none=True).encode()

    def _own_entries(self) -> list[CatalogEntry]:
        agent = CatalogEntry(
            identifier=f"urn:air:{self._publisher}:agent:coordinator",
            display_name="Parley coordinator",
            type=AGENT_CARD,
            url=self.own_url + WELL_KNOWN_PATH,
            description="Plans a task given in plain words and has its steps done by agents of the network.",
            version=VERSION,
        )
        registry = CatalogEntry(
            identifier=f"urn:air:{self._publisher}:registry:agents",
            display_name="Agents of this network",
            type=REGISTRY,
            url=self.own_url + "/",
            description="POST /search, POST /explore and GET /agents over the agents of this network.",
        )
        return [agent, registry]


def publisher_of(own_url: str) -> str:
    """The domain that answers for the entries: the coordinator's, never one that an agent's card claims."""
    host = (urlsplit(own_url).hostname or "").rstrip(".")
    is_domain = "." in host and not host.rpartition(".")[2].isdigit() and ":" not in host
    return host if is_domain else LOCAL_PUBLISHER


def _entry(agent: ListedAgent, publisher: str) -> CatalogEntry:
    tags = dict.fromkeys(tag for offer in agent.offers for tag in offer.tags)
    examples = list(dict.fromkeys(example for offer in agent.offers for example in offer.examples))
    return CatalogEntry(
        identifier=f"urn:air:{publisher}:agent:{agent.id}",
        display_name=agent.name,
        type=AGENT_CARD,
        url=agent.card_url,
        description=agent.description[:MAX_DESCRIPTION_CHARS],
        tags=list(tags)[:MAX_TAGS],
        capabilities=[offer.skill_id for offer in agent.offers],
        representative_queries=examples[:MAX_QUERIES] if len(examples) >= MIN_QUERIES else None,
        version=agent.version,
        updated_at=agent.updated_at,
    )


def _publisher(entry: CatalogEntry) -> list[str]:
    return [entry.identifier.split(":")[2]]


# 7.1: what a filter or a facet may name.
VALUES: dict[str, Callable[[CatalogEntry], Sequence[str]]] = {
    "identifier": lambda entry: [entry.identifier],
    "displayName": lambda entry: [entry.display_name],
    "type": lambda entry: [entry.type],
    "url": lambda entry: [entry.url],
    "tags": lambda entry: entry.tags or [],
    "capabilities": lambda entry: entry.capabilities or [],
    "version": lambda entry: [entry.version or ""],
    "publisher": _publisher,
}
