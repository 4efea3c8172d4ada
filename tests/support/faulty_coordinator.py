"""A coordinator that kills itself at named fault points, one after the other: FAULTS="before_send#2
after_commit:step.resent" is the second send, and after the restart the first time a message is sent again.

FAULTS_FILE gets a line with each, so that a restarted process knows what is left. With FAULTS_SIGNAL=SIGSTOP
it freezes instead, and goes on from there when it is told to.
"""

import os
import signal
from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings

from coordinator.app import create_app
from coordinator.executor.faults import Fault


class FaultSettings(BaseSettings):
    faults: str
    faults_file: Path
    faults_signal: Literal["SIGKILL", "SIGSTOP"] = "SIGKILL"


def deadly(settings: FaultSettings) -> Fault:
    deaths = settings.faults_file.read_text().count("\n") if settings.faults_file.exists() else 0
    left = settings.faults.split()[deaths:]
    if not left:
        return lambda _point: None
    deadly_point, _, number = left[0].partition("#")
    times_left = int(number or 1)

    def fault(point: str) -> None:
        nonlocal times_left
        if point != deadly_point:
            return
        times_left -= 1
        if times_left == 0:
            with settings.faults_file.open("a") as file:
                file.write(f"{left[0]}\n")
            os.kill(os.getpid(), signal.Signals[settings.faults_signal])

    return fault


app = create_app(fault=deadly(FaultSettings()))
