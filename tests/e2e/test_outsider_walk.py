"""An agent of somebody else joins, is proven, gets work, degrades, recovers, drains and leaves.
docs/joining.md tells the same as a page."""

import ast
import time
from pathlib import Path
from typing import Any

import httpx

from coordinator.registry.directory import KEPT_S
from tests.support.network import Network, plain_client, step, until
from tests.support.nursery import ROOT

OUTSIDER = "tests.support.outsider_agent:app"
TOKEN = "a-long-random-word"  # noqa: S105 of a test
# The breaker's first pause is 15 s, and a deep probe follows it.
RECOVERY_S = 60.0


class Walk:
    """The outsider's process in a network whose coordinator wants tokens and proofs."""

    def __init__(self, network: Network) -> None:
        self.network = network
        network.start_coordinator(
            AGENTS_ADMISSION="quarantine", AGENTS_JOIN_TOKENS=TOKEN, AGENTS_PROVE="true"
        )
        self.url = network.url_of("outsider")
        self.agent_id = ""

    def starts(self, **settings: str) -> None:
        self.network.begin_agent("outsider", OUTSIDER, **settings)
        until(self._is_registered, within_s=30, what="the outsider registered itself")

    def shown(self) -> dict[str, Any]:
        return self._get(f"/api/agents/{self.agent_id}")

    def until_state(self, state: str, *, within_s: float = 20.0) -> dict[str, Any]:
        until(lambda: self.shown()["health"]["state"] == state, within_s=within_s, what=f"it is {state}")
        return self.shown()

    def is_told(self, **how: bool) -> None:
        with plain_client(self.url) as http:
            http.post("/control", json=how).raise_for_status()

    def patch(self, **change: Any) -> dict[str, Any]:
        response = self.network.http.patch(f"/api/agents/{self.agent_id}", json=change)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    def report(self) -> dict[str, Any]:
        return self._get(f"/api/agents/{self.agent_id}/report")

    def history(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/api/agents/{self.agent_id}/health")["history"]
        return found

    def events(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._get(f"/api/agents/events?agent_id={self.agent_id}")["events"]
        return found

    def moves(self) -> list[tuple[str, str]]:
        """From which state of health to which, in order."""
        return [(e["data"]["from"], e["data"]["to"]) for e in self.events() if e["kind"] == "agent.health"]

    def asks(self) -> str:
        """A task that only the outsider can do; its id."""
        return self.network.create(
            description="translate into pirate: hello",
            plan={"steps": [step(1, "translate-pirate", timeout_s=30)]},
        )

    def _is_registered(self) -> bool:
        for agent in self._get("/api/agents")["agents"]:
            if agent["url"] == self.url:
                self.agent_id = agent["id"]
        return bool(self.agent_id)

    def _get(self, path: str) -> dict[str, Any]:
        response: httpx.Response = self.network.http.get(path)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found


def test_the_outsider_knows_nothing_of_this_project() -> None:
    tree = ast.parse(Path(ROOT, "tests/support/outsider_agent.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = ("a2a", "models", "coordinator", "agent_servers", "tests")
    assert not {name for name in imported if name.split(".")[0] in ours}


def test_an_outsiders_agent_joins_is_proven_works_degrades_recovers_drains_and_leaves(
    bare_network: Network,
) -> None:
    walk = Walk(bare_network)
    joins_without_a_token_and_is_held(walk)
    joins_with_the_token_and_is_proven(walk)
    gets_work_and_the_task_says_why(walk)
    fails_its_calls_and_goes_down(walk)
    recovers(walk)
    drains_while_its_step_ends(walk)
    leaves(walk)


def joins_without_a_token_and_is_held(walk: Walk) -> None:
    walk.starts()
    held = walk.shown()
    assert held["admission"] == {"state": "held", "held_for": "it joined without a join token"}
    assert (held["health"]["state"], held["status"]) == ("quarantined", "INACTIVE")
    assert held["health"]["reason"].startswith("held until an operator admits it")


def joins_with_the_token_and_is_proven(walk: Walk) -> None:
    walk.network.terminate("outsider")
    known_as = walk.agent_id
    walk.starts(COORDINATOR_JOIN_TOKEN=TOKEN)
    shown = walk.until_state("up")
    assert (shown["id"], shown["proof"], shown["admission"]["state"]) == (known_as, "proven", "admitted")
    report = walk.report()
    assert report["verdict"] == "proven"
    outcomes = {finding["check"]: finding["outcome"] for finding in report["findings"]}
    assert (outcomes["send"], outcomes["get"], outcomes["unknown_task"]) == ("passed", "passed", "passed")
    assert all(finding["meaning"] for finding in report["findings"])


def gets_work_and_the_task_says_why(walk: Walk) -> None:
    task = walk.network.ended(walk.network.create(description="translate into pirate: good morning"))
    assert task["status"] == "completed"
    assert task["result"]["text"] == "Arr! good morning, matey!"
    [done] = task["steps"]
    assert done["agent"] == {"id": walk.agent_id, "name": "Pirate"}
    assert done["choice"]["reason"] == "It is the only agent with the skill translate-pirate that is up."


def fails_its_calls_and_goes_down(walk: Walk) -> None:
    walk.is_told(fails=True)
    before = len(walk.moves())
    task = walk.network.ended(walk.asks())
    assert task["status"] == "failed"
    down = walk.until_state("down")
    moves = walk.moves()[before:]
    # On a slow machine two served cards may come between two failed calls.
    assert (moves[0], moves[-1]) == (("up", "degraded"), ("degraded", "down"))
    assert "500" in down["health"]["reason"]
    assert down["health"]["breaker"]["failed_calls"] == 3
    assert down["health"]["breaker"]["open_until"] is not None
    failed = [check for check in walk.history() if check["evidence"] == "call" and not check["ok"]]
    assert len(failed) == 3
    assert all("500" in check["detail"] for check in failed)
    last = walk.events()[-1]
    assert (last["kind"], last["actor"], last["data"]["evidence"]) == ("agent.health", "coordinator", "call")
    assert last["data"]["reason"] == down["health"]["reason"]


def recovers(walk: Walk) -> None:
    """By a real call; that its card was served all the time was no help."""
    walk.is_told(fails=False)
    shown = walk.until_state("up", within_s=RECOVERY_S)
    assert shown["health"]["breaker"] == {"failed_calls": 0, "open_until": None}
    assert walk.network.ended(walk.asks())["status"] == "completed"


def drains_while_its_step_ends(walk: Walk) -> None:
    walk.is_told(holds=True)
    running = walk.asks()
    until(lambda: _step(walk, running)["status"] == "running", within_s=10, what="the step runs")
    assert walk.patch(is_drained=True)["health"]["state"] == "draining"
    forgotten_at = time.monotonic() + KEPT_S
    until(lambda: time.monotonic() > forgotten_at, within_s=10, what="no process takes it for up any more")
    waiting = walk.asks()
    until(lambda: "draining" in str(_step(walk, waiting)["waiting_for"]), within_s=10, what="it says why")
    walk.is_told(holds=False)
    assert walk.network.ended(running)["status"] == "completed"
    assert _step(walk, waiting)["status"] == "pending", "no new work"
    assert walk.patch(is_drained=False)["health"]["state"] == "up"
    assert walk.network.ended(waiting)["status"] == "completed"


def leaves(walk: Walk) -> None:
    walk.network.terminate("outsider")
    left = walk.shown()
    assert (left["health"]["state"], left["health"]["reason"]) == ("draining", "the agent said good-bye")
    gone = walk.network.http.delete(f"/api/agents/{walk.agent_id}")
    assert gone.status_code == 204
    assert walk.network.http.get(f"/api/agents/{walk.agent_id}").status_code == 404
    kinds = [event["kind"] for event in walk.events()]
    assert kinds[0] == "agent.registered"
    assert kinds[-1] == "agent.removed"


def _step(walk: Walk, task_id: str) -> dict[str, Any]:
    steps: list[dict[str, Any]] = walk.network.task(task_id)["steps"]
    return steps[0] if steps else {"status": "pending", "waiting_for": None}
