"""How a command is run: with the environment's settings, against a coordinator, to its exit code."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from pydantic import ValidationError

from coordinator.cli.client import Coordinator
from coordinator.cli.errors import CliError, SettingInvalid
from coordinator.cli.plain import one_line
from coordinator.cli.render import make_console
from coordinator.cli.run import INTERRUPTED
from coordinator.cli.settings import CliSettings

Url = Annotated[
    str | None, typer.Option("--url", help="The coordinator's address.", show_default="COORDINATOR_URL")
]


def cli_settings() -> CliSettings:
    try:
        return CliSettings()
    except ValidationError as exc:
        first = exc.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise SettingInvalid(f"Setting {name}: {one_line(first['msg'])}.") from exc


def leave(command: Callable[[], int | None]) -> None:
    """Run a command's body and leave with its exit code; an error becomes its sentence."""
    try:
        code = command()
    except CliError as exc:
        make_console(stderr=True).print(str(exc), style="red", soft_wrap=True)
        code = exc.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    raise typer.Exit(code or 0)


def call(url: str | None, body: Callable[[Coordinator], Awaitable[int | None]]) -> None:
    """Run a command that talks to the coordinator."""

    async def with_coordinator() -> int | None:
        address = url if url is not None else str(cli_settings().coordinator_url)
        async with Coordinator(address) as coordinator:
            return await body(coordinator)

    leave(lambda: asyncio.run(with_coordinator()))
