"""What stands in paths and queries: ids and names, in which no control character has a meaning."""

from typing import Annotated

from fastapi import Path, Query

NAME = r"^[^\x00-\x1f]+$"

PathId = Annotated[str, Path(pattern=NAME)]
QueryId = Annotated[str | None, Query(pattern=NAME)]
