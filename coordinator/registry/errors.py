"""RegistryError
├── AgentNotFound    no such agent here
└── CardRejected     the card at that URL cannot be used; `why` says what to change
"""


class RegistryError(Exception):
    """Base of the registry's errors."""


class AgentNotFound(RegistryError):
    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        super().__init__(f"There is no agent {agent_id}.")


class CardRejected(RegistryError):
    def __init__(self, card_url: str, why: str) -> None:
        self.card_url = card_url
        self.why = why
        super().__init__(f"The agent at {card_url} cannot be registered: {why}")
