"""The coordinator dies at each of its named points. Promises 1 and 2: the task goes on, and nothing is done
twice. Promise 6: a cancel that was accepted still cancels.

The agent keeps running, so whatever was sent can be found again: no step may be marked as run twice.
"""

import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from coordinator.executor import history
from tests.support.foreign_agent import ForeignAgent
from tests.support.network import SLOW_AGENT, TERMINAL, Network, step, twice, until

FAULTY = "tests.support.faulty_coordinator:app"
ENDS_WITHIN_S = 40.0
PNG = {"raw": "iVBORw0KGgo=", "filename": "a.png", "mediaType": "image/png"}

# A list and its items, a step that needs its fallback, one that is retried, a question, a gate, a condition
# that does not hold, a file that the agent does not take.
PLAN = [
    step(1, "split", instruction="red green"),
    step(2, "note", 1, for_each="steps.1.data", instruction="note {{item}}"),
    step(3, "break"),
    step(4, "note", requirement="fallback", fallback_for=3),
    step(5, "stumble", attachments=["a.png"]),
    step(6, "inquire"),
    step(7, "note", 1, when={"ref": "steps.1.data.0", "op": "eq", "value": "blue"}),
    step(8, "note", 2, 3, approval=True),
    step(9, "note", 5, 6, 8),
]
EXECUTIONS = ["break 3", "inquire 6", "note 4", "note 8", "note 9", "note green", "note red", "red green"]


def after(*kinds: str) -> list[str]:
    return [f"after_commit:{kind}" for kind in kinds]


IN_THE_PLAN = [
    *(f"before_commit#{number}" for number in (1, 2, 3, 5, 8, 12)),
    *(f"{point}#{number}" for point in ("before_send", "after_send") for number in (1, 4, 9)),
    "after_claim",
    *after("task.created", "task.input_required", "task.input_given", "task.awaiting_approval"),
    *after("task.completed", "step.started", "step.started#4", "step.waiting", "step.accepted"),
    *after("step.accepted#4", "step.files_left_out", "step.artifact", "step.completed", "step.completed#4"),
    *after("step.failed", "step.retrying", "step.expanded", "step.skipped", "step.input_required"),
    *after("step.answered", "step.awaiting_approval", "step.approved"),
    "before_send after_commit:step.resent",
    "after_send after_commit:step.reattached",
    "before_send before_send",
    "after_send after_send",
]
IN_WORDS = ["before_commit#2", *after("task.planned", "task.executing", "step.progress")]
IN_A_CANCEL = [
    "before_cancel",
    "after_cancel",
    *after("task.cancel_requested", "step.canceled", "task.canceled"),
]
AT_A_LOGIN = after("step.looked", "step.resumed")
IN_A_REVISION = after("task.plan_revised")
IN_A_FAILURE = after("task.failed")
WITHOUT_AGENTS = after("task.waiting")


class Person:
    """Who uses a coordinator that dies: starts it again, asks again, answers and approves."""

    def __init__(self, network: Network, faults: str, file: Path) -> None:
        self._network = network
        self._settings = {
            "FAULTS": faults,
            "FAULTS_FILE": str(file),
            "STEPS_MAX_RUNNING": "2",
            "STEPS_LOOK_AGAIN_S": "0.1",
        }
        self._file = file
        self._left = len(faults.split())

    def has_seen_it_die(self) -> bool:
        """As often as it was to die."""
        return self._file.exists() and len(self._file.read_text().splitlines()) == self._left

    def start(self) -> None:
        self._network.start_coordinator(app=FAULTY, **self._settings)

    def start_with_agent(self, *, seconds: float = 0.2) -> None:
        self.start()
        url = self._network.start_stranger("slow", SLOW_AGENT, SLOW_AGENT_SECONDS=str(seconds))
        self._network.register(url)

    def insists(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Until there is an answer, which may be that it is done already."""
        answers: list[httpx.Response] = []

        def is_answered() -> bool:
            if not self._network.server("coordinator").is_alive:
                self.start()
            try:
                answers.append(self._network.http.request(method, path, **more))
            except httpx.TransportError:
                return False
            return True

        until(is_answered, within_s=ENDS_WITHIN_S, what=f"an answer to {method} {path}")
        assert answers[-1].status_code in (200, 202, 409), answers[-1].text
        body: dict[str, Any] = answers[-1].json()
        return body

    def creates(self, **body: Any) -> str:
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        return str(self.insists("POST", "/api/tasks", json=body, headers=headers)["task_id"])

    def brings_to_end(self, task_id: str, *, answers: bool = True) -> dict[str, Any]:
        tasks: list[dict[str, Any]] = []
        path = f"/api/tasks/{task_id}"

        def has_ended() -> bool:
            tasks.append(self.insists("GET", path))
            if answers and tasks[-1]["status"] == "input_required":
                self.insists("POST", f"{path}/input", json={"parts": [{"text": "Oslo"}]})
            if tasks[-1]["status"] == "awaiting_approval":
                self.insists("POST", f"{path}/approve")
            return tasks[-1]["status"] in TERMINAL

        until(has_ended, within_s=ENDS_WITHIN_S, what=f"{task_id} ended")
        assert self.has_seen_it_die(), "the point was never reached"
        return tasks[-1]


@pytest.fixture
def meet(bare_network: Network, tmp_path: Path) -> Callable[[str], Person]:
    """Somebody whose coordinator will die at these points, one after the other."""
    return lambda faults: Person(bare_network, faults, tmp_path / "faults.log")


def assert_done_once(network: Network, task: dict[str, Any]) -> None:
    assert not twice(network.executions())
    assert [done["step_number"] for done in task["steps"] if done["may_have_run_twice"]] == []
    assert network.events(task["id"]).count(f"task.{task['status']}") == 1
    assert len(network.http.get("/api/tasks").json()["tasks"]) == 1


@pytest.mark.parametrize("faults", IN_THE_PLAN)
def test_a_plan_is_done_to_its_end_and_each_step_once(
    bare_network: Network, meet: Callable[[str], Person], faults: str
) -> None:
    person = meet(faults)
    person.start_with_agent()

    task_id = person.creates(description="the whole plan", inputs=[PNG], plan={"steps": PLAN})
    task = person.brings_to_end(task_id)

    assert (task["status"], task["error"]) == ("completed", None)
    statuses = {done["step_number"]: done["status"] for done in task["steps"]}
    assert (statuses.pop(3), statuses.pop(7)) == ("failed", "skipped")
    assert set(statuses.values()) == {"completed"}
    assert len(statuses) == 9, "the list has been expanded once"
    assert_done_once(bare_network, task)
    counts = Counter(execution.text for execution in bare_network.executions())
    assert (counts.pop("stumble 5"), counts.pop("Oslo")) == (2, 1), "one retry, one answer"
    assert counts == dict.fromkeys(EXECUTIONS, 1)


@pytest.mark.parametrize("faults", IN_WORDS)
def test_a_task_in_plain_words_is_planned_and_done_once(
    bare_network: Network, meet: Callable[[str], Person], faults: str
) -> None:
    person = meet(faults)
    person.start_with_agent()
    task = person.brings_to_end(person.creates(description="ponder the moon"))
    assert (task["status"], task["error"]) == ("completed", None)
    assert task["plan"]["planner"] == "rules"
    assert bare_network.events(task["id"]).count("task.planned") == 1
    assert_done_once(bare_network, task)
    assert len(bare_network.executions()) == 1


@pytest.mark.parametrize("faults", WITHOUT_AGENTS)
def test_a_task_that_waits_for_a_first_agent_goes_on_when_there_is_one(
    bare_network: Network, meet: Callable[[str], Person], faults: str
) -> None:
    person = meet(faults)
    person.start()
    task_id = person.creates(description="ponder the moon")
    until(person.has_seen_it_die, within_s=10, what="it died")
    person.start_with_agent()
    task = person.brings_to_end(task_id)
    assert (task["status"], task["error"]) == ("completed", None)
    assert_done_once(bare_network, task)


@pytest.mark.parametrize("faults", IN_A_CANCEL)
def test_a_cancel_that_was_accepted_reaches_the_agent(
    bare_network: Network, meet: Callable[[str], Person], faults: str
) -> None:
    person = meet(faults)
    person.start_with_agent(seconds=60)
    task_id = person.creates(description="ponder", plan={"steps": [step(1, "ponder"), step(2, "ponder", 1)]})
    until(bare_network.executions, within_s=10, what="the agent began")

    person.insists("POST", f"/api/tasks/{task_id}/cancel")
    task = person.brings_to_end(task_id)

    assert task["status"] == "canceled"
    assert [done["status"] for done in task["steps"]] == ["canceled", "canceled"]
    assert len(bare_network.executions("canceled")) == 1, "the skill was told"
    assert_done_once(bare_network, task)


@pytest.mark.parametrize("faults", AT_A_LOGIN)
def test_a_step_whose_agent_waits_for_a_login_goes_on_once_it_has_happened_elsewhere(
    bare_network: Network,
    meet: Callable[[str], Person],
    serve_foreign: Callable[[], ForeignAgent],
    faults: str,
) -> None:
    agent, person = serve_foreign(), meet(faults)
    agent.is_locked = True
    person.start()
    bare_network.register(agent.url)
    task_id = person.creates(description="toil", plan={"steps": [step(1, "toil")]})
    until(lambda: person.has_seen_it_die() or agent.calls.count("GetTask") > 1, within_s=10, what="it looked")
    agent.finish()
    task = person.brings_to_end(task_id, answers=False)
    assert (task["status"], task["error"]) == ("completed", None)
    assert_done_once(bare_network, task)
    assert len(agent.executions) == 1


@pytest.mark.parametrize("faults", IN_A_REVISION)
def test_a_revision_of_the_plan_is_made_once(
    bare_network: Network, meet: Callable[[str], Person], faults: str
) -> None:
    person = meet(faults)
    person.start_with_agent()
    task = person.brings_to_end(person.creates(description="break on purpose", strategy="adaptive"))
    assert (task["status"], task["error"]) == ("completed", None)
    assert task["plan"]["version"] == 2
    assert_done_once(bare_network, task)


@pytest.mark.parametrize("faults", IN_A_FAILURE)
def test_a_task_that_has_failed_stays_so(
    bare_network: Network, meet: Callable[[str], Person], faults: str
) -> None:
    person = meet(faults)
    person.start_with_agent()
    task = person.brings_to_end(person.creates(description="break", plan={"steps": [step(1, "break")]}))
    assert (task["status"], task["error"]["code"]) == ("failed", "AGENT_FAILED")
    assert_done_once(bare_network, task)


def test_every_kind_of_event_is_a_point_at_which_it_dies_here() -> None:
    points = [
        *IN_THE_PLAN,
        *IN_WORDS,
        *IN_A_CANCEL,
        *AT_A_LOGIN,
        *IN_A_REVISION,
        *IN_A_FAILURE,
        *WITHOUT_AGENTS,
    ]
    tried = {point.partition("#")[0] for faults in points for point in faults.split()}
    kinds = [*history._ON_TASK, *history._ON_STEP, "task.created", "step.reattached"]
    assert set(after(*kinds)) <= tried
