"""The environment of the coordinator process. The only place in this package that reads it.

A group's variables carry its name: TASKS_DEADLINE_S is `settings.tasks.deadline_s`. All stand in
.env.example.
"""

import os
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field, FilePath, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from a2a.logs import LogFormat, LogLevel
from coordinator.registry.admission import Policy

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]

# What a process needs of its surroundings, and those settings of every agent that are no secret and may be
# the same for several. All else, secrets above all, is not for the agents whose files this process serves.
PASSED_ON: Final = (
    *("PATH", "HOME", "USER", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"),
    *("PYTHONPATH", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("AGENT_MAX_BODY_BYTES", "AGENT_MAX_RUNNING", "AGENT_MAX_STREAMS"),
    *("AGENT_PUSH_ALLOW_LOOPBACK", "AGENT_PUSH_ALLOW_PRIVATE"),
)


class TaskSettings(BaseModel):
    deadline_s: Seconds = 600.0
    max_running: Count = 256
    max_parallel_steps: Count = 8
    max_upload_bytes: Count = 25 * 2**20
    lease_s: Seconds = 15.0
    grace_s: Seconds = 10.0


class StepSettings(BaseModel):
    max_running: Count = 1_000
    inline_bytes: Count = 8 * 2**20
    timeout_s: Seconds = 180.0
    max_attempts: Count = 3
    backoff_s: Seconds = 1.0
    look_again_s: Seconds = 15.0


class AgentSettings(BaseModel):
    """`admission` unset: open for a coordinator on this machine, quarantine for one that others reach."""

    admission: Policy | None = None
    join_tokens: SecretStr = SecretStr("")
    max_agents: Count = 20_000
    prove: bool = True
    check_timeout_s: Seconds = 60.0
    check_interval_s: Seconds = 86_400.0
    deep_probe_interval_s: Seconds = 3_600.0
    canary_margin: Annotated[float, Field(ge=0, le=1)] = 0.1
    canary_min_calls: Count = 20
    require_signature: bool = False
    trusted_keys_file: FilePath | None = None
    trusted_jku_urls: str = ""
    heartbeat_interval_s: Seconds = 10.0
    probe_interval_s: Seconds = 15.0
    probe_timeout_s: Seconds = 5.0
    history_days: Count = 7
    allow_loopback: bool = True
    allow_private: bool = False
    dir: Path | None = None
    start_timeout_s: Seconds = 30.0


class WebhookSettings(BaseModel):
    max_attempts: Count = 8
    allow_loopback: bool = True
    allow_private: bool = False


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        env_nested_delimiter="_",
        env_nested_max_split=1,
    )

    database_url: str = "sqlite:///var/parley.db"
    coordinator_url: HttpUrl = HttpUrl("http://127.0.0.1:8000")
    log_level: LogLevel = "info"
    log_format: LogFormat = "text"
    tasks: TaskSettings = TaskSettings()
    steps: StepSettings = StepSettings()
    agents: AgentSettings = AgentSettings()
    webhooks: WebhookSettings = WebhookSettings()


def passed_on() -> dict[str, str]:
    """What agents that this process starts get of its environment."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}
