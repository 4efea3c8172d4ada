"""The environment of the research agent. Each variable stands in .env.example."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

_PROJECT_DOCS = Path(__file__).resolve().parents[2] / "docs"


class ResearchSettings(BaseSettings):
    """Read once when the app is built."""

    model_config = SettingsConfigDict(
        env_prefix="RESEARCH_", env_file=".env", env_ignore_empty=True, extra="ignore"
    )

    library: Path = _PROJECT_DOCS
    max_rounds: Annotated[int, Field(ge=1, le=6)] = 3
    max_citations: Annotated[int, Field(ge=1, le=30)] = 8
    max_file_bytes: Annotated[int, Field(gt=0)] = 25 * 2**20
    fetch_timeout_s: Annotated[float, Field(gt=0)] = 15.0
    fetch_allow_loopback: bool = True
    fetch_allow_private: bool = False
