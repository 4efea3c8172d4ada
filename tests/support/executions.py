"""What agents did, by their own account: a file to which every process of a test appends, whatever dies."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Execution:
    """`kind` is began, done or canceled; `text` is what the message asked for."""

    kind: str
    agent: str
    message_id: str
    text: str


def append(path: Path, execution: Execution) -> None:
    with path.open("ab", buffering=0) as log:
        log.write(json.dumps(asdict(execution)).encode() + b"\n")  # in one write: whole lines only


def read(path: Path) -> list[Execution]:
    """In the order in which they came."""
    if not path.exists():
        return []
    return [Execution(**json.loads(line)) for line in path.read_text().splitlines()]
