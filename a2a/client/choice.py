"""Which of an agent's interfaces is called."""

from collections.abc import Sequence

from a2a.card_types import AgentCard, AgentInterface
from a2a.compat.card import major_minor
from a2a.errors import CardRefused
from a2a.types import PROTOCOL_VERSION

BINDINGS = ("JSONRPC", "HTTP+JSON")
VERSIONS = (PROTOCOL_VERSION, "0.3")
OLD_VERSIONS = ("0.2", "0.3")


def choose_interface(
    card: AgentCard, *, bindings: Sequence[str] = BINDINGS, versions: Sequence[str] = VERSIONS
) -> AgentInterface:
    """The first of the card (its order is the agent's preference, 8.3.1) that is in `bindings`, in the first
    of `versions` that there is. Raises CardRefused that names what the card offers."""
    for version in versions:
        for interface in card.supported_interfaces:
            if interface.protocol_binding in bindings and spoken_version(interface) == version:
                return interface
    offers = (f"{item.protocol_binding} {item.protocol_version}" for item in card.supported_interfaces)
    ours = " or ".join(f"{binding} {version}" for version in versions for binding in bindings)
    raise CardRefused(
        card.supported_interfaces[0].url, f"its card offers {', '.join(offers)}; needed is {ours}"
    )


def spoken_version(interface: AgentInterface) -> str:
    """Major.Minor, the patch does not count (3.6). 0.2 is spoken to as 0.3, which kept its methods."""
    version = major_minor(interface.protocol_version)
    return "0.3" if version in OLD_VERSIONS else version


def json_rpc_url(card: AgentCard) -> str | None:
    """The first JSON-RPC 1.0 interface of the card, or None where it has none."""
    try:
        return choose_interface(card, bindings=("JSONRPC",), versions=(PROTOCOL_VERSION,)).url
    except CardRefused:
        return None
