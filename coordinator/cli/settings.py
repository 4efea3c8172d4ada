"""The environment of the command line: the part of the coordinator's that it needs. A mistake in the rest
must not keep a person from asking a coordinator elsewhere."""

from pydantic import Field, HttpUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from coordinator.settings import Count, Settings, TaskSettings

_FIELDS = Settings.model_fields


class CliSettings(BaseSettings):
    model_config = SettingsConfigDict(env_file=".env", extra="ignore")

    coordinator_url: HttpUrl = Field(_FIELDS["coordinator_url"].default)
    database_url: str = Field(_FIELDS["database_url"].default)
    tasks_max_upload_bytes: Count = Field(TaskSettings.model_fields["max_upload_bytes"].default)
