"""Where a card is and where it says to call: what the URLs themselves tell. Pure."""

from urllib.parse import urlsplit

import httpx

from a2a.card_types import WELL_KNOWN_PATH, AgentCard
from coordinator.registry.errors import CardRejected
from coordinator.registry.origin import DEFAULT_PORTS, is_loopback, is_same_server

NOWHERE = ("0.0.0.0", "::")  # noqa: S104 looked for, not bound
ITSELF = "it is this coordinator itself, which would send its tasks to itself; register another agent."


def card_url_of(url: str) -> str:
    """The card's URL in one spelling, from it or from the agent's origin. Raises CardRejected for what is no
    http(s) URL."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
        _ = httpx.URL(url.strip()).host  # it knows of hosts that are none, such as xn--
    except (ValueError, httpx.InvalidURL) as exc:
        raise CardRejected(url, "it is not a URL.") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CardRejected(url, "its URL has to begin with http:// or https:// and name a host.")
    if parts.username or parts.password:
        raise CardRejected(url, "its URL must not hold a user name or password.")
    if parts.hostname in NOWHERE:
        raise CardRejected(url, "0.0.0.0 is no address to call; advertise the host's name or address.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    is_plain = port is None or port == DEFAULT_PORTS[parts.scheme]
    origin = f"{parts.scheme}://{host}" + ("" if is_plain else f":{port}")
    return origin + (parts.path if parts.path.endswith(".json") else parts.path.rstrip("/") + WELL_KNOWN_PATH)


def check_advertised(card_url: str, url: str) -> None:
    """Whether the interface URL on a card can lead from here to the agent whose card was fetched from
    `card_url`. Raises CardRejected, which says what to change."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        _ = httpx.URL(url).host
    except (ValueError, httpx.InvalidURL) as exc:
        raise CardRejected(card_url, "the interface URL on its card is not a URL.") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CardRejected(card_url, "the interface URL on its card is not an http(s) URL.")
    if parts.hostname in NOWHERE:
        raise CardRejected(
            card_url,
            f"its card says to call {url}, which is no address; set AGENT_URL to the host's name or address.",
        )
    if is_loopback(parts.hostname) and not is_loopback(urlsplit(card_url).hostname or ""):
        raise CardRejected(
            card_url,
            f"its card says to call {url}, which is this machine and not the one that the card is on; set"
            " AGENT_URL to the URL by which the agent is reached from here.",
        )


def check_no_way_back(card: AgentCard, card_url: str, own_url: str) -> None:
    """Whether an interface, also one that is only called where the first does not work, leads to the
    coordinator: each of its tasks would become another. Raises CardRejected."""
    for interface in card.supported_interfaces:
        try:
            is_back = interface.url.lower().startswith(("http://", "https://")) and is_same_server(
                interface.url, own_url
            )
        except ValueError:  # no URL: nobody is called there
            continue
        if is_back:
            raise CardRejected(card_url, ITSELF)
