"""The JSON-RPC binding of 0.3: method names, parameters, results and errors against their 1.0 counterparts.

A client uses request_to_v03 and result_from_v03, a server with a 0.3 face request_from_v03, result_to_v03 and
error_to_v03. Error codes mean the same in both versions, so a 0.3 error is read as a 1.0 one is. 0.3 has no
tenants: they are dropped on the way out.
"""

from collections.abc import Callable

from a2a.compat.card import card_from_v03, card_to_v03
from a2a.compat.reading import JsonObject, ShapeError, field, list_at, object_at, picked
from a2a.compat.shapes import event_from_v03, message_from_v03, message_to_v03, task_from_v03, task_to_v03
from a2a.errors import (
    WIRE,
    ExtensionSupportRequired,
    MethodNotFound,
    ProtocolError,
    TaskNotFound,
    UnsupportedOperation,
    VersionNotSupported,
)
from a2a.requests import MAX_PAGE_SIZE
from a2a.types import Json

METHOD_TO_V03 = {
    "SendMessage": "message/send",
    "SendStreamingMessage": "message/stream",
    "GetTask": "tasks/get",
    "CancelTask": "tasks/cancel",
    "SubscribeToTask": "tasks/resubscribe",
    "CreateTaskPushNotificationConfig": "tasks/pushNotificationConfig/set",
    "GetTaskPushNotificationConfig": "tasks/pushNotificationConfig/get",
    "ListTaskPushNotificationConfigs": "tasks/pushNotificationConfig/list",
    "DeleteTaskPushNotificationConfig": "tasks/pushNotificationConfig/delete",
    "GetExtendedAgentCard": "agent/getAuthenticatedExtendedCard",
}
METHOD_FROM_V03 = {old: new for new, old in METHOD_TO_V03.items()}

_PUSH = ("id", "url", "token")
_SEND = ("acceptedOutputModes", "historyLength")


def request_to_v03(method: str, params: JsonObject) -> tuple[str, JsonObject | None]:
    """The 0.3 method and its params, None where it has none. Raises UnsupportedOperation for ListTasks."""
    translate = _PARAMS_TO_V03.get(method)
    if translate is None:
        raise UnsupportedOperation(f"A2A 0.3 has no {method}.")
    return METHOD_TO_V03[method], translate(params)


def send_params_to_v03(params: JsonObject) -> JsonObject:
    """`blocking` is always said, for agents differ in what they do without it."""
    configuration = params.get("configuration") or {}
    translated = picked(configuration, _SEND)
    translated["blocking"] = not configuration.get("returnImmediately", False)
    push = configuration.get("taskPushNotificationConfig")
    if push is not None:
        translated["pushNotificationConfig"] = push_to_v03(push)
    return {
        "message": message_to_v03(params["message"]),
        "configuration": translated,
        **picked(params, ("metadata",)),
    }


def push_to_v03(config: JsonObject) -> JsonObject:
    """The inner PushNotificationConfig: in 0.3 the task's id stands beside it."""
    translated = picked(config, _PUSH)
    authentication = config.get("authentication")
    if authentication is not None:
        translated["authentication"] = {
            "schemes": [authentication["scheme"]],
            **picked(authentication, ("credentials",)),
        }
    return translated


def task_push_to_v03(config: JsonObject) -> JsonObject:
    return {"taskId": config.get("taskId") or "", "pushNotificationConfig": push_to_v03(config)}


def _push_key_to_v03(params: JsonObject) -> JsonObject:
    return {"id": params["taskId"], "pushNotificationConfigId": params["id"]}


_PARAMS_TO_V03: dict[str, Callable[[JsonObject], JsonObject | None]] = {
    "SendMessage": send_params_to_v03,
    "SendStreamingMessage": send_params_to_v03,
    "GetTask": lambda params: picked(params, ("id", "historyLength")),
    "CancelTask": lambda params: picked(params, ("id", "metadata")),
    "SubscribeToTask": lambda params: picked(params, ("id",)),
    "CreateTaskPushNotificationConfig": task_push_to_v03,
    "GetTaskPushNotificationConfig": _push_key_to_v03,
    "DeleteTaskPushNotificationConfig": _push_key_to_v03,
    "ListTaskPushNotificationConfigs": lambda params: {"id": params["taskId"]},
    "GetExtendedAgentCard": lambda params: None,  # noqa: ARG005 the table's signature
}


def result_from_v03(method: str, result: Json) -> JsonObject:
    """The 1.0 result of a 1.0 `method` from a 0.3 agent's; events of streams have event_from_v03."""
    translate = _RESULT_FROM_V03.get(method)
    if translate is None:
        raise UnsupportedOperation(f"A2A 0.3 has no {method}.")
    return translate(result)


def send_result_from_v03(result: Json) -> JsonObject:
    response = event_from_v03(result)
    if "task" not in response and "message" not in response:
        raise ShapeError("result.kind", "has to be task or message")
    return response


def push_from_v03(value: Json, at: str) -> JsonObject:
    """A flat config without its task's id. The first scheme stands for all: 1.0 has one."""
    config = object_at(value, at)
    translated = picked(config, _PUSH)
    if not translated.get("id"):
        translated.pop("id", None)
    if config.get("authentication") is not None:
        info = object_at(config["authentication"], f"{at}.authentication")
        schemes = list_at(info.get("schemes"), f"{at}.authentication.schemes")
        if schemes:
            translated["authentication"] = {"scheme": schemes[0], **picked(info, ("credentials",))}
    return translated


def task_push_from_v03(value: Json, at: str) -> JsonObject:
    config = object_at(value, at)
    inner = push_from_v03(field(config, "pushNotificationConfig"), f"{at}.pushNotificationConfig")
    return {**picked(config, ("taskId",)), **inner}


def _push_list_from_v03(result: Json) -> JsonObject:
    items = list_at(result, "result")
    return {"configs": [task_push_from_v03(item, f"result.{index}") for index, item in enumerate(items)]}


def _task_result_from_v03(result: Json) -> JsonObject:
    return task_from_v03(result, "result")


def _push_result_from_v03(result: Json) -> JsonObject:
    return task_push_from_v03(result, "result")


_RESULT_FROM_V03: dict[str, Callable[[Json], JsonObject]] = {
    "SendMessage": send_result_from_v03,
    "GetTask": _task_result_from_v03,
    "CancelTask": _task_result_from_v03,
    "CreateTaskPushNotificationConfig": _push_result_from_v03,
    "GetTaskPushNotificationConfig": _push_result_from_v03,
    "ListTaskPushNotificationConfigs": _push_list_from_v03,
    # It is null, and a2a-sdk 0.3.26 leaves even the key out.
    "DeleteTaskPushNotificationConfig": lambda result: {},  # noqa: ARG005 the table's signature
    "GetExtendedAgentCard": card_from_v03,
}


def request_from_v03(method: str, params: Json) -> tuple[str, JsonObject]:
    """The 1.0 method and params of a 0.3 call. Raises MethodNotFound, or ShapeError that names the 0.3 field.

    A push config may be asked for without its id: that becomes a list, and result_to_v03 gives its first.
    """
    known = METHOD_FROM_V03.get(method)
    if known is None:
        raise MethodNotFound
    if known == "GetExtendedAgentCard":
        return known, {}
    given = object_at(params, "params")
    if known == "GetTaskPushNotificationConfig" and not field(given, "pushNotificationConfigId"):
        known = "ListTaskPushNotificationConfigs"
    return known, _PARAMS_FROM_V03[known](given)


def send_params_from_v03(params: JsonObject) -> JsonObject:
    message = object_at(params.get("message"), "message")
    if not message.get("parts"):
        raise ShapeError("message.parts", "needs at least one part")
    translated = {"message": message_from_v03(message, "message"), **picked(params, ("metadata",))}
    if params.get("configuration") is not None:
        translated["configuration"] = _configuration_from_v03(params["configuration"])
    return translated


def _configuration_from_v03(value: Json) -> JsonObject:
    configuration = object_at(value, "configuration")
    translated = _without_zero_history(picked(configuration, _SEND))
    blocking = configuration.get("blocking")
    if blocking is not None:
        if not isinstance(blocking, bool):
            raise ShapeError("configuration.blocking", "has to be true or false")
        translated["returnImmediately"] = not blocking
    push = field(configuration, "pushNotificationConfig")
    if push is not None:
        at = "configuration.pushNotificationConfig"
        translated["taskPushNotificationConfig"] = push_from_v03(push, at)
    return translated


def _without_zero_history(value: JsonObject) -> JsonObject:
    """0 is no limit in 0.3 and no history in 1.0."""
    return {key: item for key, item in value.items() if key != "historyLength" or item != 0}


def _push_key_from_v03(params: JsonObject) -> JsonObject:
    return {"taskId": params.get("id"), "id": field(params, "pushNotificationConfigId")}


_PARAMS_FROM_V03: dict[str, Callable[[JsonObject], JsonObject]] = {
    "SendMessage": send_params_from_v03,
    "SendStreamingMessage": send_params_from_v03,
    "GetTask": lambda params: _without_zero_history(picked(params, ("id", "historyLength"))),
    "CancelTask": lambda params: picked(params, ("id", "metadata")),
    "SubscribeToTask": lambda params: picked(params, ("id",)),
    "CreateTaskPushNotificationConfig": lambda params: task_push_from_v03(params, "params"),
    "GetTaskPushNotificationConfig": _push_key_from_v03,
    "DeleteTaskPushNotificationConfig": _push_key_from_v03,
    # 0.3 has no pages here: one page has to hold them all.
    "ListTaskPushNotificationConfigs": lambda params: {"taskId": params.get("id"), "pageSize": MAX_PAGE_SIZE},
}


def result_to_v03(v03_method: str, result: JsonObject) -> Json:
    """The 0.3 result of a 0.3 method from the 1.0 result; events of streams have event_to_v03."""
    match METHOD_FROM_V03.get(v03_method):
        case "SendMessage":
            message = result.get("message")
            return message_to_v03(message) if message is not None else task_to_v03(result["task"])
        case "GetTask" | "CancelTask":
            return task_to_v03(result)
        case "CreateTaskPushNotificationConfig":
            return task_push_to_v03(result)
        case "GetTaskPushNotificationConfig":
            return task_push_to_v03(_first_config(result))
        case "ListTaskPushNotificationConfigs":
            return [task_push_to_v03(config) for config in result["configs"]]
        case "DeleteTaskPushNotificationConfig":
            return None
        case "GetExtendedAgentCard":
            return card_to_v03(result)
        case _:
            raise MethodNotFound


def _first_config(result: JsonObject) -> JsonObject:
    if "configs" not in result:
        return result
    if not result["configs"]:
        raise TaskNotFound("The task has no push notification config.")
    first: JsonObject = result["configs"][0]
    return first


def error_to_v03(error: ProtocolError) -> JsonObject:
    """The error object without ErrorInfo. Of what 0.3 has no code for, it says that it is not supported."""
    unsaid = isinstance(error, ExtensionSupportRequired | VersionNotSupported)
    wire = WIRE[UnsupportedOperation if unsaid else type(error)]
    content: JsonObject = {"code": wire.rpc_code, "message": error.detail}
    if error.violations:
        fields = [{"field": item.field, "description": item.description} for item in error.violations]
        content["data"] = {"fieldViolations": fields}
    return content
