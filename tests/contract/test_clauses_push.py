"""A push configuration that a message brings and that is refused leaves the task as it was."""

from tests.support.bindings import Caller, message, state

MAX_CONFIGS = 20
HOOK = "http://127.0.0.1:9/hook"


async def test_an_answer_whose_receiver_is_refused_can_be_given_again(agent: Caller) -> None:
    """3.1.7: the task does not change with a message that is refused."""
    asked = await agent.send("weather", "ask")
    for number in range(MAX_CONFIGS):
        config = {"taskId": asked["id"], "id": str(number), "url": HOOK}
        await agent.call("CreateTaskPushNotificationConfig", config)
    another = {"taskPushNotificationConfig": {"id": "another", "url": HOOK}}

    answer = message("Oslo", "ask", taskId=asked["id"], configuration=another)
    assert (await agent.refusal("SendMessage", answer)).fields == ("taskId",)

    assert state(await agent.get(asked)) == "INPUT_REQUIRED"
    assert state(await agent.send("Oslo", "ask", taskId=asked["id"])) == "COMPLETED"
