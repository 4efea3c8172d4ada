"""The environment of an agent process. The only place in this package that reads it."""

from typing import Annotated

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from a2a.logs import LogFormat, LogLevel


class AgentSettings(BaseSettings):
    """Read when the app starts; each variable is explained in .env.example."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    coordinator_url: HttpUrl | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    agent_url: HttpUrl | None = None
    agent_max_body_bytes: Annotated[int, Field(gt=0)] = 64 * 2**20
    agent_max_running: Annotated[int, Field(gt=0)] = 32
    agent_grace_s: Annotated[float, Field(ge=0)] = 10.0
