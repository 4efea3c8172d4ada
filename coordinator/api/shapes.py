"""What the shapes of the REST API are made of."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

from a2a.types import format_timestamp
from coordinator.api.params import NAME

MAX_DESCRIPTION_CHARS = 20_000
MAX_STEP_NUMBER = 1_000


def _plain_text(value: str) -> str:
    if not value.strip():
        raise ValueError("say what is to be done")
    if "\x00" in value:
        raise ValueError("NUL characters are not text")
    return value.strip()


Utc = Annotated[datetime, PlainSerializer(format_timestamp, return_type=str, when_used="json")]
Description = Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS), AfterValidator(_plain_text)]
Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=NAME)]
StepNumber = Annotated[int, Field(ge=1, le=MAX_STEP_NUMBER)]


class Body(BaseModel):
    """A request body: unknown fields are refused, so that a misspelt one is not lost in silence."""

    model_config = ConfigDict(extra="forbid")
