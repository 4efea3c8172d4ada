"""ListTasks, clause by clause, over every binding and store."""

from typing import Any

import pytest

from tests.support.bindings import BINDINGS, GRPC, Caller, Result, World, state, word


async def walked(agent: Caller, **params: Any) -> list[Result]:
    """The pages of a list, from the first to the last."""
    pages: list[Result] = []
    token = ""
    while not pages or token:
        pages.append(await agent.call("ListTasks", {**params, **({"pageToken": token} if token else {})}))
        token = pages[-1]["nextPageToken"]
    return pages


def ids(*pages: Result) -> list[str]:
    return [task["id"] for page in pages for task in page["tasks"]]


async def made(agent: Caller, count: int, skill: str = "echo") -> tuple[str, list[str]]:
    """A new context and the ids of its tasks, newest first."""
    context = word()
    return context, [(await agent.send("hi", skill, contextId=context))["id"] for _ in range(count)][::-1]


async def test_a_list_has_all_that_is_required(agent: Caller) -> None:
    """3.1.4"""
    context, made_ids = await made(agent, 2)
    page = await agent.call("ListTasks", {"contextId": context})

    assert set(page) == {"tasks", "nextPageToken", "pageSize", "totalSize"}
    assert (page["nextPageToken"], page["pageSize"], page["totalSize"]) == ("", 50, 2)
    assert set(ids(page)) == set(made_ids)


async def test_an_empty_list_is_a_list(agent: Caller) -> None:
    """3.1.4"""
    page = await agent.call("ListTasks", {"contextId": word()})

    assert page == {"tasks": [], "nextPageToken": "", "pageSize": 50, "totalSize": 0}


async def test_what_was_touched_last_comes_first(agent: Caller) -> None:
    """3.1.4: by the time of the status, not of the making"""
    context, (second, first) = await made(agent, 2, "ask")
    await agent.send("Oslo", "ask", taskId=first)
    page = await agent.call("ListTasks", {"contextId": context})
    times = [task["status"]["timestamp"] for task in page["tasks"]]

    assert times == sorted(times, reverse=True)
    assert set(ids(page)) == {first, second}


async def test_pages_follow_each_other_without_a_gap_or_a_double(agent: Caller) -> None:
    """3.1.4"""
    context, made_ids = await made(agent, 7)
    pages = await walked(agent, contextId=context, pageSize=3)

    assert [len(page["tasks"]) for page in pages] == [3, 3, 1]
    assert sorted(ids(*pages)) == sorted(made_ids)
    assert {(page["pageSize"], page["totalSize"]) for page in pages} == {(3, 7)}


async def test_a_full_last_page_has_no_page_behind_it(agent: Caller) -> None:
    """3.1.4"""
    context, _ = await made(agent, 4)
    pages = await walked(agent, contextId=context, pageSize=2)

    assert [len(page["tasks"]) for page in pages] == [2, 2]


async def test_tasks_that_come_in_between_shift_no_page(agent: Caller) -> None:
    """3.1.4: a cursor, not an offset"""
    context, made_ids = await made(agent, 5)
    first = await agent.call("ListTasks", {"contextId": context, "pageSize": 2})
    for _ in range(3):
        await agent.send(contextId=context)
    seen = ids(first)
    token = first["nextPageToken"]
    while token:
        page = await agent.call("ListTasks", {"contextId": context, "pageSize": 2, "pageToken": token})
        seen += ids(page)
        token = page["nextPageToken"]

    assert sorted(seen) == sorted(made_ids)


async def test_a_token_holds_over_any_binding(world: World, agent: Caller) -> None:
    """5.1"""
    context, made_ids = await made(agent, 3)
    first = await agent.call("ListTasks", {"contextId": context, "pageSize": 2})
    for binding in BINDINGS:
        async with world.caller(binding) as other:
            params = {"contextId": context, "pageSize": 2, "pageToken": first["nextPageToken"]}
            second = await other.call("ListTasks", params)
            assert sorted(ids(first, second)) == sorted(made_ids)


@pytest.mark.parametrize("size", [1, 100])
async def test_a_page_size_within_bounds_is_taken(agent: Caller, size: int) -> None:
    """3.1.4"""
    assert (await agent.call("ListTasks", {"pageSize": size}))["pageSize"] == size


@pytest.mark.parametrize("size", [0, -1, 101, 2**31 - 1])
async def test_a_page_size_out_of_bounds_is_refused_by_name(agent: Caller, size: int) -> None:
    """3.1.4"""
    refused = await agent.refusal("ListTasks", {"pageSize": size})

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("pageSize",))


@pytest.mark.parametrize(
    "token", ["x", "0", "MTI6", "////", "%00", "ü", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6eA"]
)
async def test_a_token_that_is_none_is_refused_by_name(agent: Caller, token: str) -> None:
    """3.1.4"""
    refused = await agent.refusal("ListTasks", {"pageToken": token})

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("pageToken",))


# The filters


async def test_tasks_are_listed_by_their_status(world: World, agent: Caller) -> None:
    """3.1.4"""
    context, text = word(), word()
    wanted = {
        "COMPLETED": await agent.send(contextId=context),
        "FAILED": await agent.send("x", "fail", contextId=context),
        "REJECTED": await agent.send("x", "reject", contextId=context),
        "INPUT_REQUIRED": await agent.send("x", "ask", contextId=context),
        "AUTH_REQUIRED": await agent.send("x", "authorise", contextId=context),
        "WORKING": await agent.begin(text, contextId=context),
    }
    await world.script.started[text].wait()
    asked = await agent.send("x", "ask", contextId=context)
    wanted["CANCELED"] = await agent.call("CancelTask", {"id": asked["id"]})
    for name, task in wanted.items():
        page = await agent.call("ListTasks", {"contextId": context, "status": f"TASK_STATE_{name}"})
        assert (ids(page), page["totalSize"]) == ([task["id"]], 1)
        assert state(page["tasks"][0]) == name
    page = await agent.call("ListTasks", {"contextId": context, "status": "TASK_STATE_SUBMITTED"})
    world.script.go[text].open()

    assert page["totalSize"] == 0


@pytest.mark.parametrize("status", ["TASK_STATE_LOST", "completed", "COMPLETED"])
async def test_a_status_that_does_not_exist_is_refused_by_name(
    world: World, status: str, agent: Caller
) -> None:
    """3.1.4, 5.7: and is not taken for no filter"""
    if agent.__class__.__name__ == "GrpcCaller":
        pytest.skip("an enum of protobuf has no such value")
    refused = await agent.refusal("ListTasks", {"status": status})

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("status",))


async def test_a_status_number_that_does_not_exist_is_refused_by_name(world: World) -> None:
    """3.1.4 as gRPC can break it"""
    async with world.caller(GRPC) as agent:
        refused = await agent.refusal("ListTasks", {"status": 99})

    assert (refused.name, refused.fields) == ("INVALID_ARGUMENT", ("status",))


async def test_tasks_are_listed_from_a_time_on(agent: Caller) -> None:
    """3.1.4: that time or later"""
    context, made_ids = await made(agent, 3)
    tasks = (await agent.call("ListTasks", {"contextId": context}))["tasks"]
    for task in tasks:
        at = task["status"]["timestamp"]
        expected = {other["id"] for other in tasks if other["status"]["timestamp"] >= at}
        page = await agent.call("ListTasks", {"contextId": context, "statusTimestampAfter": at})
        assert set(ids(page)) == expected
        assert page["totalSize"] == len(expected)
    later = {"contextId": context, "statusTimestampAfter": "2999-01-01T00:00:00Z"}

    assert (await agent.call("ListTasks", later))["totalSize"] == 0
    assert {task["id"] for task in tasks} == set(made_ids)


async def test_a_time_with_an_offset_is_the_time_that_it_means(agent: Caller) -> None:
    """5.6.1"""
    context, _ = await made(agent, 1)
    for at, count in (("2000-01-01T00:00:00+01:00", 1), ("2999-01-01T00:00:00-01:00", 0)):
        page = await agent.call("ListTasks", {"contextId": context, "statusTimestampAfter": at})
        assert len(ids(page)) == count


async def test_a_context_that_is_another_counts_for_nothing(agent: Caller) -> None:
    """3.1.4"""
    context, _ = await made(agent, 1)
    for other in (context.upper(), context[:-1], f"{context}%", "%", "_"):
        assert (await agent.call("ListTasks", {"contextId": other}))["totalSize"] == 0


async def test_filters_hold_together(agent: Caller) -> None:
    """3.1.4"""
    context, (done,) = await made(agent, 1)
    await agent.send("x", "fail", contextId=context)
    params = {
        "contextId": context,
        "status": "TASK_STATE_COMPLETED",
        "statusTimestampAfter": "2000-01-01T00:00:00Z",
    }

    assert ids(*await walked(agent, **params, pageSize=1)) == [done]


# What is listed of a task


@pytest.mark.parametrize("wanted", [None, False])
async def test_artifacts_are_left_out_unless_asked_for(agent: Caller, wanted: bool | None) -> None:
    """3.1.4"""
    context, _ = await made(agent, 1)
    params = {"contextId": context} | ({} if wanted is None else {"includeArtifacts": wanted})
    (task,) = (await agent.call("ListTasks", params))["tasks"]

    assert "artifacts" not in task


async def test_artifacts_that_are_asked_for_are_those_of_the_task(agent: Caller) -> None:
    """3.1.4"""
    context, (task_id,) = await made(agent, 1, "report")
    (task,) = (await agent.call("ListTasks", {"contextId": context, "includeArtifacts": True}))["tasks"]

    assert task == await agent.call("GetTask", {"id": task_id})


async def test_a_running_task_is_listed_as_far_as_it_has_come(world: World, agent: Caller) -> None:
    """3.1.4"""
    context, text = word(), word()
    task = await agent.begin(text, contextId=context)
    await world.script.started[text].wait()
    (listed,) = (await agent.call("ListTasks", {"contextId": context}))["tasks"]
    world.script.go[text].open()

    assert (listed["id"], state(listed)) == (task["id"], "WORKING")
