"""The registry of a coordinator process, put together: how agents join, are proven, and are watched."""

import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

from a2a.addresses import AddressPolicy
from a2a.database import Database
from a2a.guard import guarded_client
from a2a.signing import Jwk, TrustStore
from coordinator.clock import Now
from coordinator.conformance.receiver import PushReceiver
from coordinator.health.deep import DeepProber
from coordinator.health.probes import Prober
from coordinator.registry.admission import Policy
from coordinator.registry.arrival import JoinRules
from coordinator.registry.canary import Rules
from coordinator.registry.origin import is_loopback
from coordinator.registry.proving import ProofRules, Prover
from coordinator.registry.registration import CARD_TIMEOUT_S, Registry
from coordinator.registry.signatures import Signatures
from coordinator.registry.upkeep import Upkeep
from coordinator.settings import AgentSettings, Settings
from models.ids import new_id


async def start_registry(
    stack: AsyncExitStack,
    settings: Settings,
    database: Database,
    policy: AddressPolicy,
    receiver: PushReceiver,
    *,
    own_tokens: Sequence[str],
    now: Now,
) -> tuple[Registry, Prover | None]:
    """It runs until the stack is left. `receiver` takes the notifications of agents that are checked;
    `own_tokens` are join tokens beside those of the settings."""
    own, agents = str(settings.coordinator_url), settings.agents
    enter = stack.enter_async_context
    # Each has its own connections: neither registrations nor checks that hang keep a probe from its agent.
    probes_http = await enter(guarded_client(policy, timeout_s=agents.probe_timeout_s))
    joins_http = await enter(guarded_client(policy, timeout_s=CARD_TIMEOUT_S))
    prover = None
    if agents.prove:
        checks_http = await enter(guarded_client(policy, timeout_s=agents.check_timeout_s))
        rules = ProofRules(agents.check_timeout_s, agents.check_interval_s)
        prover = Prover(database, checks_http, receiver, rules, now)
        stack.push_async_callback(prover.close)
    registry = Registry(
        database,
        joins_http,
        JoinRules(_policy(agents, own), agents.max_agents, proves=prover is not None),
        Signatures(joins_http, _trust(agents), is_required=agents.require_signature),
        tokens=[*_words(agents.join_tokens.get_secret_value()), *own_tokens],
        own_url=own,
        proof_due=prover.due if prover is not None else _nothing,
        now=now,
    )
    prober = Prober(
        database,
        probes_http,
        registry.card_seen,
        interval_s=agents.probe_interval_s,
        timeout_s=agents.probe_timeout_s,
        now=now,
    )
    if prover is not None:
        deep = DeepProber(database, prover.try_agent, interval_s=agents.deep_probe_interval_s, now=now)
    else:
        deep = DeepProber(database, _only_steps, interval_s=None, now=now)
    canaries = Rules(agents.canary_margin, agents.canary_min_calls)
    upkeep = Upkeep(database, new_id("upkeep"), prober, prover, deep, canaries, agents.history_days, now)
    await enter(upkeep.running())
    return registry, prover


def _policy(agents: AgentSettings, own_url: str) -> Policy:
    """Whoever can reach a coordinator on loopback is on this machine."""
    if agents.admission is not None:
        return agents.admission
    return Policy.OPEN if is_loopback(urlsplit(own_url).hostname or "") else Policy.QUARANTINE


def _trust(agents: AgentSettings) -> TrustStore:
    keys: list[Jwk] = []
    if agents.trusted_keys_file is not None:
        try:
            keys = json.loads(agents.trusted_keys_file.read_text())["keys"]
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise SystemExit('AGENTS_TRUSTED_KEYS_FILE: give a file with a JWK set: {"keys": [...]}') from exc
    return TrustStore(keys=keys, jku_urls=frozenset(_words(agents.trusted_jku_urls)))


def _words(listed: str) -> list[str]:
    return [word.strip() for word in listed.split(",") if word.strip()]


async def _only_steps(_agent_id: str) -> None:
    """May try an agent here: it is called for nothing else."""


def _nothing(_agent_id: str) -> None:
    """No agent is checked here."""
