"""What to do about the files of the folder, given what is known of each. Pure: the loader carries it out.

It looks at how things are, not at what has happened: a change that nobody told of is found by the next
look.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from coordinator.loader.state import AgentFile, Doing, Found


@dataclass(frozen=True, slots=True)
class Report:
    """Nothing can be done with this version: `problem`. None: it is the one that is served, after all."""

    found: Found
    problem: str | None


@dataclass(frozen=True, slots=True)
class Start:
    found: Found


@dataclass(frozen=True, slots=True)
class Check:
    """Find out whether the version could be served while the older one still is."""

    found: Found


@dataclass(frozen=True, slots=True)
class Stop:
    """The older version makes room for one that has passed."""

    name: str


@dataclass(frozen=True, slots=True)
class Abort:
    """What is being checked or started is not what is wanted any more."""

    name: str


@dataclass(frozen=True, slots=True)
class Remove:
    name: str


Command = Report | Start | Check | Stop | Abort | Remove


def decide(found: Iterable[Found], known: Mapping[str, AgentFile], now: float) -> list[Command]:
    listed = {file.name: file for file in found}
    commands: list[Command | None] = [
        _for_listed(listed[name], known.get(name), now) if name in listed else _for_gone(known[name])
        for name in sorted({*listed, *known})
    ]
    return [command for command in commands if command is not None]


def next_due(known: Mapping[str, AgentFile]) -> float | None:
    """When the next pause before a start is over."""
    waiting = [file for file in known.values() if file.doing is None and not file.is_bad]
    return min((file.retry_at for file in waiting if file.retry_at is not None), default=None)


def admitted(found: Iterable[Found], known: Mapping[str, AgentFile], max_files: int) -> list[Found]:
    """The files, those beyond the limit with that problem. Who is in keeps the place."""
    files = list(found)
    newcomers = sorted(files, key=lambda file: (not _has_place(known.get(file.name)), file.name))
    let_in = {file.name for file in [file for file in newcomers if file.problem is None][:max_files]}
    problem = f"there are more than {max_files} files; it has to wait until others are gone"
    return [
        file if file.problem is not None or file.name in let_in else replace(file, problem=problem)
        for file in files
    ]


def _has_place(file: AgentFile | None) -> bool:
    return file is not None and file.tried is not None and file.tried.problem is None


def _for_gone(file: AgentFile) -> Command | None:
    match file.doing:
        case None:
            return Remove(file.name)
        case Doing.CHECKING | Doing.STARTING:
            return Abort(file.name)
        case Doing.STOPPING | Doing.REMOVING | Doing.ABORTING:
            return None


def _for_listed(found: Found, file: AgentFile | None, now: float) -> Command | None:
    if file is None:
        return Start(found) if found.problem is None else Report(found, found.problem)
    match file.doing:
        case Doing.CHECKING | Doing.STARTING:
            return Abort(file.name) if file.tried != found else None
        case Doing.STOPPING | Doing.REMOVING | Doing.ABORTING:
            return None
    return _for_news(found, file) if file.tried != found else _for_tried(found, file, now)


def _for_news(found: Found, file: AgentFile) -> Command:
    if found == file.serves:
        return Report(found, None)
    if found.problem is not None:
        return Report(found, found.problem)
    return Check(found) if file.serves is not None else Start(found)


def _for_tried(found: Found, file: AgentFile, now: float) -> Command | None:
    if file.is_bad or file.serves == found:
        return None
    if file.serves is not None:
        return Stop(file.name)
    return Start(found) if file.retry_at is None or now >= file.retry_at else None
