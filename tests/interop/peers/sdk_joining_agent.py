# mypy: ignore-errors
"""The agent of sdk_agent.py, which registers itself: `sdk_joining_agent.py PORT GRPC_PORT FOLDER URL TOKEN`.

FOLDER has join.py, the snippet of docs/extensions/registration.md; URL is the coordinator's.
"""

import asyncio
import sys

from sdk_agent import main


async def join(port: int, grpc_port: int, coordinator_url: str, token: str) -> None:
    from join import stay_registered

    async with asyncio.TaskGroup() as group:
        group.create_task(main(port, grpc_port))
        group.create_task(stay_registered(coordinator_url, f"http://127.0.0.1:{port}", token))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[3])
    asyncio.run(join(int(sys.argv[1]), int(sys.argv[2]), sys.argv[4], sys.argv[5]))
