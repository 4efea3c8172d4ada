"""Makes the protobuf messages of the gRPC binding when the package is built, an editable install included."""

import subprocess
import sys
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GENERATED = "a2a/grpc/generated"


class ProtobufHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 hatchling's signature
        """The proto is given the path of its package, so that what is made of it imports absolutely."""
        command = [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            f"--proto_path={GENERATED}=a2a/grpc",
            *("--python_out=.", "--pyi_out=."),
            "a2a/grpc/a2a.proto",
        ]
        subprocess.run(command, cwd=self.root, check=True)  # noqa: S603 nothing in it is from outside
        build_data["artifacts"].append(f"{GENERATED}/*.py*")
