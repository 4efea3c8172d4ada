"""What a process that only serves an agent does without."""

import json
import subprocess
import sys

PROGRAM = """
import json, sys
from a2a import Agent
agent = Agent(name="Lean", description="Lean.", version="1.0.0")

@agent.skill(id="echo", description="Echo", tags=["echo"])
async def echo(request):
    return request.text

agent.app()
print(json.dumps(sorted({name.partition(".")[0] for name, module in sys.modules.items() if module})))
"""
HEAVY = {
    "aiohttp", "cryptography", "duckdb", "grpc", "httpx", "jwt", "langgraph", "pygments", "rfc8785", "rich",
    "sqlalchemy",
}  # fmt: skip


def loaded(program: str) -> set[str]:
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    found: list[str] = json.loads(run.stdout)
    return set(found)


def test_an_agent_that_stands_alone_loads_no_client_no_database_and_no_terminal() -> None:
    assert loaded(PROGRAM) & HEAVY == set()


def test_rich_and_httpx_are_there_for_who_wants_them() -> None:
    assert {"rich", "httpx"} <= loaded("import a2a, httpx, rich.console\n" + PROGRAM)
