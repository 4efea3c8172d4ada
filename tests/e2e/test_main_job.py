"""The main job through real processes: the coordinator, both agents, and one that joins while they run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.network import Network, until
from tests.support.nursery import ROOT, Nursery

MAIN_JOB = (
    "Research how agents register with the coordinator and summarise it,"
    " then analyse the attached weather data"
)


@pytest.fixture
def network(tmp_path: Path, database_url: str, nursery: Nursery) -> Iterator[Network]:
    with Network(tmp_path, database_url, nursery, RESEARCH_LIBRARY=str(ROOT / "docs")) as network:
        network.start_coordinator()
        network.start_agent("research", "agent_servers.research:app")
        network.start_agent("api", "agent_servers.api:app")
        yield network


def test_the_main_job_gives_a_cited_summary_an_analysis_and_a_chart(network: Network) -> None:
    data = (ROOT / "examples" / "data" / "seattle-weather.csv").read_bytes()
    created = network.http.post(
        "/api/tasks",
        data={"description": MAIN_JOB},
        files={"files": ("seattle-weather.csv", data, "text/csv")},
    )
    task = network.ended(created.json()["task_id"], within_s=60)

    assert task["status"] == "completed", task["error"]
    assert task["plan"]["planner"] == "rules"
    steps = {step["step_number"]: step for step in task["steps"]}
    assert [steps[n]["skill_id"] for n in (1, 2, 3)] == ["research", "summarise", "analyse"]
    assert [steps[n]["depends_on"] for n in (1, 2, 3)] == [[], [1], []]
    assert steps[3]["started_at"] < steps[1]["completed_at"], "independent steps run side by side"

    text, sources = task["result"]["text"], task["result"]["sources"]
    assert "[1]" in text
    assert sources
    for source in sources:
        original = (ROOT / "docs" / source["source"]).read_text()
        flat = " ".join(original.split())
        assert " ".join(source["passage"].split()) in flat, "a citation is found where it says"
    assert "1,461 rows" in text
    files = {artifact["filename"]: artifact for artifact in task["result"]["artifacts"]}
    chart = network.http.get(files["chart.svg"]["url"])
    assert chart.text.lstrip().startswith("<svg")
    assert files["evidence.sql"]["size_bytes"] > 0
    assert task["gaps"] == []


def test_a_third_partys_agent_joins_while_the_network_runs_and_gets_the_next_task(network: Network) -> None:
    before = network.create(description="count the words of this sentence", deadline_s=20)
    assert network.ended(before)["error"]["code"] == "UNKNOWN_TASK_TYPE"
    network.start_agent("words", "examples.word_count_agent:app")
    task = network.ended(network.create(description="count the words of: one two three", deadline_s=20))
    assert task["status"] == "completed", task["error"]
    assert task["result"]["text"] == "3 words"
    assert task["steps"][0]["agent"]["name"] == "Word counter"
    network.terminate("words")
    until(
        lambda: network.health_of(network.url_of("words")) in ("draining", "down"),
        within_s=10,
        what="good-bye",
    )
