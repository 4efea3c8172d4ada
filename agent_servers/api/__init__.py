"""The API agent as an app: `uvicorn agent_servers.api:app`."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    app: FastAPI


def __getattr__(name: str) -> object:
    """Build the app when a server asks for it, so that importing a part of the package reads no
    environment and starts nothing."""
    if name != "app":
        raise AttributeError(name)
    from agent_servers.api.agent import build_agent
    from agent_servers.api.settings import ApiAgentSettings

    return globals().setdefault("app", build_agent(ApiAgentSettings()).app())
