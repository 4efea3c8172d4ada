"""docker-compose.yml and the Dockerfile describe the network of the Procfile."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from coordinator.cli.procfile import parse_procfile

ROOT = Path(__file__).parents[2]


@pytest.fixture
def services() -> dict[str, Any]:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    found: dict[str, Any] = compose["services"]
    return found


def test_compose_runs_what_the_procfile_runs_and_a_database(services: dict[str, Any]) -> None:
    processes = {process.name: process for process in parse_procfile((ROOT / "Procfile").read_text())}
    assert set(services) == {"postgres", *processes}
    for name, process in processes.items():
        words = shlex.split(services[name]["command"])
        assert [word for word in words if word not in ("--host", "0.0.0.0")] == shlex.split(process.command)


def test_only_the_coordinator_is_reachable_from_the_host(services: dict[str, Any]) -> None:
    assert {name for name, service in services.items() if "ports" in service} == {"coordinator"}
    assert services["coordinator"]["ports"] == ["127.0.0.1:8000:8000"]


def test_agents_say_where_they_are_by_their_service_name(services: dict[str, Any]) -> None:
    for name in ("research", "api", "example"):
        port = re.search(r"--port (\d+)", services[name]["command"])
        assert port is not None
        environment = services[name]["environment"]
        assert environment["COORDINATOR_URL"] == "http://coordinator:8000"
        assert environment["AGENT_URL"] == f"http://{name}:{port[1]}"


def test_containers_may_call_each_other_at_private_addresses(services: dict[str, Any]) -> None:
    """The coordinator its agents; they its links to large results and its receiver of notifications."""
    assert services["coordinator"]["environment"]["AGENTS_ALLOW_PRIVATE"] == "true"
    assert services["research"]["environment"]["RESEARCH_FETCH_ALLOW_PRIVATE"] == "true"
    assert services["api"]["environment"]["API_AGENT_FETCH_ALLOW_PRIVATE"] == "true"
    for name in ("research", "api", "example"):
        assert services[name]["environment"]["AGENT_PUSH_ALLOW_PRIVATE"] == "true"


def test_agents_show_the_join_token_that_the_coordinator_knows(services: dict[str, Any]) -> None:
    """It is not on loopback, so it keeps whoever shows none aside; the token has no default to be guessed."""
    token = re.compile(r"\$\{COORDINATOR_JOIN_TOKEN:\?[^}]+\}")
    assert token.fullmatch(services["coordinator"]["environment"]["AGENTS_JOIN_TOKENS"])
    for name in ("research", "api", "example"):
        assert token.fullmatch(services[name]["environment"]["COORDINATOR_JOIN_TOKEN"])


def test_every_variable_of_a_service_is_one_that_parley_reads(services: dict[str, Any]) -> None:
    example = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^#?\s?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE))
    for name, service in services.items():
        if name != "postgres":
            assert service["environment"].keys() <= listed


def test_each_service_has_a_health_check_on_its_own_port(services: dict[str, Any]) -> None:
    for name, service in services.items():
        check = " ".join(service["healthcheck"]["test"])
        if name != "postgres":
            port = re.search(r"--port (\d+)", service["command"])
            assert port is not None
            assert f"http://127.0.0.1:{port[1]}/" in check


def test_password_comes_from_outside(services: dict[str, Any]) -> None:
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:?")
    address = services["coordinator"]["environment"]["DATABASE_URL"]
    assert re.fullmatch(r"postgresql://parley:\$\{POSTGRES_PASSWORD:\?[^}]+\}@postgres/parley", address)


def test_image_holds_every_package_and_runs_without_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    for folder in ("a2a", "models", "coordinator", "agent_servers", "examples", "docs"):
        assert f"COPY {folder} {folder}\n" in dockerfile
        assert f"!{folder}" in ignored
    users = re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)
    assert users == ["parley"]
    assert "uv sync --frozen --no-dev --extra postgres" in dockerfile
