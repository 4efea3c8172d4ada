"""What steps take from earlier steps, from the request over REST to the message that an agent gets."""

from collections.abc import Iterator

import pytest

from coordinator.settings import StepSettings
from tests.support.coordinator import Coordinator, echo_agent, settings_for
from tests.support.reachable import reachable_coordinator
from tests.support.task_api import Json, codes, post, run, statuses, step
from tests.support.workshop import Workshop

INLINE_BYTES = 1_000


@pytest.fixture(scope="module")
def coordinator(shared_database_url: str) -> Iterator[Coordinator]:
    settings = settings_for(shared_database_url)
    steps = StepSettings(backoff_s=0.05, inline_bytes=INLINE_BYTES)
    with reachable_coordinator(settings.model_copy(update={"steps": steps})) as running:
        yield running


@pytest.fixture(scope="module")
def workshop(coordinator: Coordinator) -> Workshop:
    made = Workshop()
    coordinator.add_agent(made.agent)
    return made


def test_a_reference_into_data_is_filled_in(coordinator: Coordinator, workshop: Workshop) -> None:
    data = {"total": 12, "odd key": {"x": [1, 2]}, "cities": ["Oslo", "Rome"]}
    instruction = '{{steps.1.data.total}} {{ steps.1.data["odd key"].x[1] }} {{steps.1.data.cities}}'
    task = run(coordinator, step(1, "give", data=data), step(2, "say", 1, instruction=instruction))
    assert workshop.texts(task, "say") == ['12 2 ["Oslo","Rome"]']


def test_a_reference_to_text_is_filled_in(coordinator: Coordinator, workshop: Workshop) -> None:
    first = step(1, "say", instruction="good morning")
    task = run(coordinator, first, step(2, "say", 1, instruction="<{{steps.1.text}}>"))
    assert workshop.texts(task) == ["good morning", "<heard: good morning>"]


def test_a_reference_to_an_artifact_is_filled_in_by_its_name(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    parts = {"letter": "Dear Ada", "table": {"rows": [7]}}
    instruction = "{{steps.1.artifacts.letter}}: {{steps.1.artifacts.table.rows[0]}}"
    task = run(coordinator, step(1, "pack", data=parts), step(2, "say", 1, instruction=instruction))
    assert workshop.texts(task, "say") == ["Dear Ada: 7"]


def test_a_reference_reaches_a_step_that_is_needed_indirectly(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    middle, last = step(2, "say", 1), step(3, "read", 2, instruction="{{steps.1.data.total}}")
    task = run(coordinator, step(1, "give", data={"total": 12}), middle, last)
    assert workshop.texts(task, "read") == ["12"]


def test_data_that_is_one_reference_keeps_its_type(coordinator: Coordinator, workshop: Workshop) -> None:
    given = {"total": 12, "is_open": True, "cities": ["Oslo"], "none": None}
    wanted = {name: f"{{{{steps.1.data.{name}}}}}" for name in given} | {
        "words": "of {{steps.1.data.total}}",
        "list": [{"deep": "{{steps.1.data.cities[0]}}"}],
        "plain": 3.5,
    }
    task = run(coordinator, step(1, "give", data=given), step(2, "say", 1, data=wanted))
    [request] = workshop.heard(task, "say")
    assert request.data[0] == given | {"words": "of 12", "list": [{"deep": "Oslo"}], "plain": 3.5}


def test_data_for_a_skill_that_takes_text_alone_arrives_as_text(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    task = run(coordinator, step(1, "read", instruction="look", data={"city": "Zürich"}))
    [request] = workshop.heard(task)
    assert request.data == []
    assert request.text == 'look\n{"city": "Zürich"}'


STATIC_ERRORS = {
    "an unknown step": (step(2, "say", 1, instruction="{{steps.7.text}}"), "step 7"),
    "a step it does not depend on": (step(2, "say", instruction="{{steps.1.text}}"), "add it to depends_on"),
    "itself": (step(2, "say", 1, data={"x": "{{steps.2.text}}"}), "step 2"),
    "an item outside a list": (step(2, "say", 1, instruction="{{item.city}}"), "only a step with for_each"),
    "the item of its own list": (step(2, "say", 1, for_each="item"), "only a step with for_each"),
    "an artifact in a condition": (
        step(2, "say", 1, when={"ref": "steps.1.artifacts.x", "op": "exists"}),
        "not to artifacts",
    ),
    "a condition on an unknown step": (
        step(2, "say", when={"ref": "steps.1.text", "op": "exists"}),
        "step 1",
    ),
    "no reference": (step(2, "say", 1, instruction="{{total}}"), "is not a reference"),
    "a reference without an end": (step(2, "say", 1, instruction="{{steps.1.text"), "ends too early"),
    "code": (step(2, "say", 1, data=["{{steps.1.data.__class__()}}"]), "cannot go on with"),
    "a filter": (step(2, "say", 1, instruction="{{steps.1.text | upper}}"), "cannot go on with"),
}


@pytest.mark.parametrize(("bad", "said"), STATIC_ERRORS.values(), ids=STATIC_ERRORS.keys())
def test_a_plan_with_a_wrong_reference_is_refused_and_nothing_is_sent(
    coordinator: Coordinator, workshop: Workshop, bad: Json, said: str
) -> None:
    session_id = coordinator.http.post("/api/sessions", json={}).json()["id"]
    response = post(coordinator, step(1, "say"), bad, session_id=session_id)
    assert (response.status_code, response.json()["code"]) == (422, "PLAN_INVALID"), response.text
    assert "Step 2" in response.json()["detail"]
    assert said in response.json()["detail"]
    assert coordinator.http.get("/api/tasks", params={"session_id": session_id}).json()["tasks"] == []
    assert workshop.heard({"session_id": session_id}) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"instruction": "{{steps.1.data.nope}}"}, 'it has "total"'),
        ({"data": {"x": "{{steps.1.data.total.deep}}"}}, "is a number"),
        ({"instruction": "{{steps.1.artifacts.chart}}"}, 'no artifact "chart"'),
        ({"for_each": "steps.1.data.nope"}, 'it has "total"'),
        ({"when": {"ref": "steps.1.data.nope", "op": "gt", "value": 1}}, 'it has "total"'),
    ],
)
def test_a_reference_that_leads_to_nothing_fails_its_step_before_anything_is_sent(
    coordinator: Coordinator, workshop: Workshop, more: Json, said: str
) -> None:
    task = run(coordinator, step(1, "give", data={"total": 12}), step(2, "say", 1, **more))
    assert statuses(task) == ["completed", "failed"]
    assert codes(task) == [None, "REFERENCE_MISSING"]
    assert said in task["steps"][1]["error"]["message"]
    assert task["error"]["code"] == "REFERENCE_MISSING"
    assert workshop.heard(task, "say") == []


def test_what_an_agent_says_is_not_rendered_again(coordinator: Coordinator, workshop: Workshop) -> None:
    said = "{{steps.1.text}} {{item}} {{nonsense"
    first = step(1, "say", instruction=said.replace("{{", r"\{{"))
    second = step(2, "say", 1, instruction="{{steps.1.text}}", data=["{{steps.1.text}}"])
    task = run(coordinator, first, second)
    [heard, again] = workshop.heard(task)
    assert heard.text == said
    assert again.text == f"heard: {said}"
    assert again.data == [[f"heard: {said}"]]


def test_an_item_is_not_rendered_again(coordinator: Coordinator, workshop: Workshop) -> None:
    first = step(1, "give", data=[r"\{{steps.1.data}}", r"\{{nonsense"])
    second = step(2, "say", 1, for_each="steps.1.data", instruction="{{item_index}}: {{item}}")
    task = run(coordinator, first, second)
    assert sorted(workshop.texts(task, "say")) == ["0: {{steps.1.data}}", "1: {{nonsense"]


def test_escaped_braces_stay_braces(coordinator: Coordinator, workshop: Workshop) -> None:
    task = run(coordinator, step(1, "say", instruction=r"write \{{steps.9.text}} as it is"))
    assert workshop.texts(task) == ["write {{steps.9.text}} as it is"]


def test_braces_in_plain_words_are_no_template(coordinator: Coordinator) -> None:
    coordinator.add_agent(echo_agent)
    task = coordinator.run(description="echo {{steps.1.text}} and {{nonsense")
    assert task["plan"]["planner"] == "rules"
    assert task["result"]["text"] == "heard: echo {{steps.1.text}} and {{nonsense"


def test_a_result_up_to_the_limit_travels_as_it_is(coordinator: Coordinator, workshop: Workshop) -> None:
    text = "x" * (INLINE_BYTES - len("heard: "))
    task = run(coordinator, step(1, "say", instruction=text), step(2, "say", 1))
    [part] = workshop.heard(task)[1].attachments
    assert (part.text, part.url) == (f"heard: {text}", None)


def test_a_result_over_the_limit_travels_as_a_link_to_the_same_bytes(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    text = "ä" * (INLINE_BYTES // 2)
    task = run(coordinator, step(1, "say", instruction=text), step(2, "say", 1))
    [part] = workshop.heard(task)[1].attachments
    assert (part.text, part.raw) == (None, None)
    assert (part.filename, part.media_type) == ("result.txt", "text/plain")
    assert coordinator.http.get(str(part.url)).content == f"heard: {text}".encode()


def test_a_link_has_a_media_type_that_the_skill_takes(coordinator: Coordinator, workshop: Workshop) -> None:
    large = {"report": "# Report\n" + "x" * INLINE_BYTES}
    task = run(coordinator, step(1, "note", data=large), step(2, "read", 1))
    assert statuses(task) == ["completed", "completed"], task["error"]


def test_data_over_the_limit_travels_as_a_link_to_its_json(
    coordinator: Coordinator, workshop: Workshop
) -> None:
    data = {"rows": list(range(INLINE_BYTES))}
    task = run(coordinator, step(1, "give", data=data), step(2, "say", 1))
    [request] = workshop.heard(task, "say")
    [part] = request.attachments
    assert part.media_type == "application/json"
    assert coordinator.http.get(str(part.url)).json() == data
