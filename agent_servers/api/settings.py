"""The environment of the API agent. Each variable stands in .env.example."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ApiAgentSettings(BaseSettings):
    """Read once when the app is built."""

    model_config = SettingsConfigDict(
        env_prefix="API_AGENT_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    max_file_bytes: Annotated[int, Field(gt=0)] = 25 * 2**20
    work_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    fetch_timeout_s: Annotated[float, Field(gt=0)] = 15.0
    fetch_max_bytes: Annotated[int, Field(gt=0)] = 2 * 2**20
    fetch_allow_loopback: bool = True
    fetch_allow_private: bool = False
