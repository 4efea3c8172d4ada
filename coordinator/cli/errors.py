"""What the command line says on the way out: one sentence and an exit code, never a traceback.

CliError
├── Refused            the coordinator answered with a problem
│   └── Unavailable    the same request may succeed soon
├── Unreachable        nobody answers at the address
├── NotACoordinator    something answers that is none
├── StreamLost         the event stream stayed away
├── FileRefused        a file cannot be sent or saved
├── SettingInvalid     an environment variable or option
├── StartFailed        `parley up` or `parley dev` cannot start
├── NewRefused         `parley new` cannot write
└── CheckImpossible    `parley check` finds no agent card
"""

from coordinator.cli.plain import command, duration


class CliError(Exception):
    """`str()` is the sentence for the person at the terminal."""

    exit_code = 1


class Refused(CliError):
    """`code` is the stable code of the problem document."""

    def __init__(self, *, status: int, code: str, detail: str) -> None:
        super().__init__(f"{detail} ({code})")
        self.status = status
        self.code = code
        self.detail = detail


class Unavailable(Refused):
    """It is busy, starting or stopping."""


class Unreachable(CliError):
    def __init__(self, url: str) -> None:
        super().__init__(f"No coordinator at {url}. Start one with `make run`, or name it with --url.")


class NotACoordinator(CliError):
    def __init__(self, url: str) -> None:
        super().__init__(
            f"What answers at {url} is not a Parley coordinator of this version. "
            "Name the right one with --url."
        )


class StreamLost(CliError):
    def __init__(self, task_id: str, *, after_s: float) -> None:
        super().__init__(
            f"The coordinator has been away for {duration(after_s)}. The task goes on when it is back: "
            f"{command()} task {task_id}"
        )


class FileRefused(CliError):
    """A file to send or a folder to save to; the text names it."""


class SettingInvalid(CliError):
    """An environment variable or option that cannot be used; the text names it."""


class StartFailed(CliError):
    """Each line of the text is one reason."""


class NewRefused(CliError):
    """A name or a folder for something new; the text names it."""


class CheckImpossible(CliError):
    """There is nothing to check; the text names the address and why."""

    exit_code = 2
