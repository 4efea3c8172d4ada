"""What the loader knows of the files in AGENTS_DIR."""

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import Connection

from coordinator.api.openapi import PROBLEMS
from coordinator.api.services import Use
from coordinator.api.shapes import Utc
from coordinator.loader.loader import FileView
from coordinator.loader.state import FileState, shared_names
from coordinator.registry.store import list_agents

router = APIRouter(prefix="/api/loader", tags=["agents"], responses=PROBLEMS)


class LoadedFile(BaseModel):
    """`error` is the last one, of a newer version where the file is still served; `agent_id` is there once
    the agent has registered."""

    file: str
    state: FileState
    since: Utc
    error: str | None
    warning: str | None
    agent_name: str | None
    agent_id: str | None
    url: str | None
    pid: int | None
    restarts: int


class LoaderOut(BaseModel):
    """`dir` is null where AGENTS_DIR is not set; `error` says why the folder cannot be read."""

    dir: str | None
    error: str | None
    files: list[LoadedFile]


@router.get("", summary="Files that are served as agents")
async def get_loader(use: Use) -> LoaderOut:
    if use.loader is None:
        return LoaderOut(dir=None, error=None, files=[])
    views = use.loader.view()
    ids = await use.database.read(_ids)
    shared = shared_names(view.file for view in views)
    files = [_loaded(view, ids, shared) for view in views]
    return LoaderOut(dir=str(use.loader.folder), error=use.loader.error, files=files)


def _ids(connection: Connection) -> dict[str, str]:
    return {row.card_url: row.id for row, _ in list_agents(connection)}


def _loaded(view: FileView, ids: dict[str, str], shared: frozenset[str]) -> LoadedFile:
    file = view.file
    is_shared = file.serves is not None and file.agent_name in shared
    return LoadedFile(
        file=file.name,
        state=file.state,
        since=view.since,
        error=file.error,
        warning=f"another file has an agent called {file.agent_name!r} too" if is_shared else None,
        agent_name=file.agent_name,
        agent_id=ids.get(view.card_url or ""),
        url=view.url,
        pid=view.pid,
        restarts=file.restarts,
    )
