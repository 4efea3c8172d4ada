"""Processes that really die. Executions are counted on the agent's side."""

from pathlib import Path

from tests.support.network import SLOW_AGENT, Network, step, twice, until

PONDER = {"steps": [step(1, "ponder")]}


def test_a_coordinator_killed_while_a_step_streams_finds_the_remote_task_again(network: Network) -> None:
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="1.5")
    plan = {"steps": [step(1, "ponder"), step(2, "ponder", 1)]}
    task_id = network.create(description="ponder twice", plan=plan)
    until(lambda: network.task(task_id)["steps"][0]["remote_task_id"], within_s=5, what="remote task seen")

    network.kill("coordinator")
    network.start_coordinator()
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert [done["may_have_run_twice"] for done in task["steps"]] == [False, False]
    assert len(network.executions()) == 2, "each step ran once"
    assert "step.reattached" in network.events(task_id)


def test_two_hundred_tasks_that_run_when_the_coordinator_is_killed_are_all_done_once(
    network: Network,
) -> None:
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="3", AGENT_MAX_RUNNING="256")
    ids = [network.create(description=f"ponder {n}", plan=PONDER) for n in range(200)]
    until(lambda: len(network.executions()) >= 100, within_s=20, what="many run")

    network.kill("coordinator")
    network.start_coordinator()
    tasks = [network.ended(task_id, within_s=60) for task_id in ids]

    assert [task["status"] for task in tasks] == ["completed"] * 200
    assert not any(task["steps"][0]["may_have_run_twice"] for task in tasks)
    assert len(network.executions()) == 200
    assert not twice(network.executions())


def test_with_all_agents_down_a_task_waits_with_the_reason_until_one_is_back(network: Network) -> None:
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="0.1")
    network.kill("slow")
    until(lambda: network.health_of(network.url_of("slow")) == "down", within_s=15, what="seen down")
    task_id = network.create(description="ponder the moon")

    def says_why() -> bool:
        return "Slow Agent is down" in network.http.get(f"/api/tasks/{task_id}/why").json()["sentence"]

    until(says_why, within_s=5, what="the reason")
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="0.1")
    assert network.ended(task_id)["status"] == "completed"


def test_with_all_agents_down_a_task_fails_at_its_deadline_with_the_reason(network: Network) -> None:
    network.start_agent("slow", SLOW_AGENT)
    network.terminate("slow")
    until(lambda: network.health_of(network.url_of("slow")) != "up", within_s=10, what="said good-bye")
    task_id = network.create(description="ponder the moon", deadline_s=1.5)
    task = network.ended(task_id)
    assert task["error"]["code"] == "DEADLINE_EXCEEDED"
    assert "Slow Agent" in task["error"]["message"]


def test_a_cancel_reaches_the_agent(network: Network) -> None:
    network.start_agent("slow", SLOW_AGENT, SLOW_AGENT_SECONDS="60")
    task_id = network.create(description="ponder", plan=PONDER)
    until(network.executions, within_s=10, what="the agent began")
    assert network.http.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    task = network.ended(task_id, within_s=10)
    assert task["status"] == "canceled"
    assert task["steps"][0]["remote_cancel"] == "canceled"
    assert len(network.executions("canceled")) == 1, "the skill was told"


def test_a_question_is_answered_by_a_person_across_a_restart(network: Network) -> None:
    network.start_agent("slow", SLOW_AGENT)
    task_id = network.create(description="inquire", plan={"steps": [step(1, "inquire")]})
    until(lambda: network.task(task_id)["status"] == "input_required", within_s=10, what="the question")
    assert network.task(task_id)["steps"][0]["question"] == "Which city?"

    network.kill("coordinator")
    network.start_coordinator()
    answer = {"parts": [{"text": "Oslo"}]}
    assert network.http.post(f"/api/tasks/{task_id}/input", json=answer).status_code == 202
    task = network.ended(task_id)

    assert task["status"] == "completed"
    assert task["result"]["text"] == "You said Oslo."


def test_an_agent_registers_again_by_itself_after_the_coordinator_lost_its_memory(
    bare_network: Network, tmp_path: Path
) -> None:
    network = bare_network
    network.start_coordinator()
    network.start_agent("slow", SLOW_AGENT)
    before = network.http.get("/api/agents").json()["agents"][0]["id"]

    network.kill("coordinator")
    for file in tmp_path.glob("parley.db*"):
        file.unlink()
    network.start_coordinator()
    network.until_up(network.url_of("slow"))

    assert network.http.get("/api/agents").json()["agents"][0]["id"] != before
