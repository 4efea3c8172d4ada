"""The environment of an agent process. The only place in this package that reads it."""

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, FilePath, HttpUrl, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from a2a.logs import LogFormat, LogLevel

SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def read_settings(model: type[SettingsT]) -> SettingsT:
    """The settings from the environment. A value that cannot be used ends the process with a line that names
    the variable, rather than with a traceback."""
    try:
        return model()
    except ValidationError as exc:
        prefix = str(model.model_config.get("env_prefix", ""))
        lines = [
            f"{prefix.upper()}{'_'.join(map(str, error['loc'])).upper()}: {error['msg']}. See .env.example."
            for error in exc.errors(include_url=False)
        ]
        raise SystemExit("\n".join(lines)) from exc


def _store_url(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("give sqlite:///path or postgresql://user@host/database")
    return value


class AgentSettings(BaseSettings):
    """Read when the app starts; each variable is explained in .env.example."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    coordinator_url: HttpUrl | None = None
    coordinator_join_token: SecretStr | None = None
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    agent_url: HttpUrl | None = None
    agent_mailbox: bool = False
    agent_mailbox_file: Path | None = None
    agent_max_body_bytes: Annotated[int, Field(gt=0)] = 64 * 2**20
    agent_max_running: Annotated[int, Field(gt=0)] = 32
    agent_max_streams: Annotated[int, Field(gt=0)] = 1_000
    agent_grace_s: Annotated[float, Field(ge=0)] = 10.0
    task_store_url: Annotated[str, AfterValidator(_store_url)] | None = None
    task_store_keep_days: Annotated[float, Field(gt=0)] = 30.0
    agent_push_allow_loopback: bool | None = None
    agent_push_allow_private: bool = False
    agent_grpc_port: Annotated[int, Field(ge=0, lt=65_536)] | None = None
    agent_signing_key_file: FilePath | None = None
    agent_signing_key_id: str = "agent"
    agent_signing_algorithm: Literal["ES256", "RS256", "EdDSA"] = "ES256"
