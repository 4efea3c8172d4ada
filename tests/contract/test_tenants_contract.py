"""Tenants: the tasks of one are none of another, over every binding and store."""

from tests.support.bindings import GRPC, HTTP_JSON, Caller, Result, World, message, told

HOOK = "http://127.0.0.1:9/hook"


async def test_a_task_of_one_tenant_is_none_of_another(agent: Caller) -> None:
    """4.4.6, 8.3.2: under none, too"""
    task = await agent.send("hello", "ask", tenant="acme")
    name = {"id": task["id"]}

    assert (await agent.call("GetTask", {**name, "tenant": "acme"})) == task
    for tenant in ({}, {"tenant": "other"}, {"tenant": "ACME"}):
        for operation in ("GetTask", "CancelTask", "SubscribeToTask"):
            assert (await agent.refusal(operation, {**name, **tenant})).name == "TASK_NOT_FOUND"
        assert task["id"] not in str(await agent.call("ListTasks", {"pageSize": 100, **tenant}))


async def test_every_operation_takes_a_tenant(agent: Caller) -> None:
    """11.3, proto"""
    tenant: Result = {"tenant": "acme & sons: ü"}
    asked = await agent.send("weather", "ask", **tenant)
    config = {"taskId": asked["id"], "id": "c", **tenant}
    assert await agent.call("CreateTaskPushNotificationConfig", {**config, "url": HOOK})
    assert await agent.call("GetTaskPushNotificationConfig", config)
    listing = await agent.call("ListTaskPushNotificationConfigs", {"taskId": asked["id"], **tenant})
    assert len(listing["configs"]) == 1
    assert await agent.call("DeleteTaskPushNotificationConfig", config) == {}
    assert asked["id"] in str(await agent.call("ListTasks", tenant))
    async with agent.stream("SubscribeToTask", {"id": asked["id"], **tenant}) as events:
        await anext(events)
    events_seen = await agent.events("SendStreamingMessage", message("Oslo", taskId=asked["id"], **tenant))
    assert told(events_seen[-1]) == "COMPLETED"
    assert (await agent.refusal("CancelTask", {"id": asked["id"], **tenant})).name == "TASK_NOT_CANCELABLE"


async def test_a_tenant_holds_over_any_binding(world: World) -> None:
    """5.1"""
    async with world.caller(HTTP_JSON) as one, world.caller(GRPC) as other:
        task = await one.send(tenant="a b")
        assert (await other.call("GetTask", {"id": task["id"], "tenant": "a b"}))["id"] == task["id"]
