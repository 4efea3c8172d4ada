"""RegistryError
├── AgentNotFound     no such agent here
├── ReportNotFound    the agent was not checked yet
├── ChecksAreOff      agents are used unproven here
├── CardRejected      the card at that URL cannot be used; `why` says what to change
├── JoinRefused       the join token is missing or wrong
├── InboxRefused      the secret is not that of the agent's inbox
├── RegistryBusy      too many registrations at once; try again in `retry_after_s`
└── RegistryFull      as many agents as this coordinator keeps
"""


class RegistryError(Exception):
    """Base of the registry's errors."""


class AgentNotFound(RegistryError):
    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        super().__init__(f"There is no agent {agent_id}.")


class ReportNotFound(RegistryError):
    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        super().__init__(f"The agent {agent_id} was not checked yet. POST to this path checks it now.")


class ChecksAreOff(RegistryError):
    def __init__(self) -> None:
        super().__init__("This coordinator checks no agents; AGENTS_PROVE=true switches that on.")


class CardRejected(RegistryError):
    def __init__(self, card_url: str, why: str) -> None:
        self.card_url = card_url
        self.why = why
        super().__init__(f"The agent at {card_url} cannot be registered: {why}")


class JoinRefused(RegistryError):
    def __init__(self, *, is_wrong: bool) -> None:
        what = "The join token is not one of this coordinator's." if is_wrong else "A join token is needed."
        super().__init__(f"{what} Its operator has it (AGENTS_JOIN_TOKENS).")


class InboxRefused(RegistryError):
    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        super().__init__(f"The secret is not that of the inbox of {agent_id}.")


class RegistryBusy(RegistryError):
    def __init__(self, *, retry_after_s: int) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"Too many agents register at once. Try again in {retry_after_s} s.")


class RegistryFull(RegistryError):
    def __init__(self, max_agents: int) -> None:
        self.max_agents = max_agents
        super().__init__(
            f"This coordinator keeps {max_agents} agents, and has them (AGENTS_MAX_AGENTS). Remove some."
        )
