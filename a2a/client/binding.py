"""What every binding of every version offers the client: one call, one stream, in the terms of A2A 1.0."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Generic, Protocol, TypeAlias, TypeVar

from a2a.card_types import AgentCard
from a2a.requests import (
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    Empty,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageRequest,
    SendMessageResponse,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
    TenantRequest,
)
from a2a.types import StreamResponse, Task, WireModel

RequestT = TypeVar("RequestT", bound=TenantRequest)
ResultT = TypeVar("ResultT", bound=WireModel)


@dataclass(frozen=True)
class Operation(Generic[RequestT, ResultT]):
    """One of the eleven (section 3.1). A read changes nothing, so it may be repeated blindly."""

    name: str
    result: type[ResultT]
    is_read: bool = False


SEND_MESSAGE: Operation[SendMessageRequest, SendMessageResponse] = Operation(
    "SendMessage", SendMessageResponse
)
SEND_STREAMING_MESSAGE: Operation[SendMessageRequest, StreamResponse] = Operation(
    "SendStreamingMessage", StreamResponse
)
GET_TASK: Operation[GetTaskRequest, Task] = Operation("GetTask", Task, is_read=True)
LIST_TASKS: Operation[ListTasksRequest, ListTasksResponse] = Operation(
    "ListTasks", ListTasksResponse, is_read=True
)
CANCEL_TASK: Operation[CancelTaskRequest, Task] = Operation("CancelTask", Task)
SUBSCRIBE_TO_TASK: Operation[SubscribeToTaskRequest, StreamResponse] = Operation(
    "SubscribeToTask", StreamResponse, is_read=True
)
CREATE_PUSH_CONFIG: Operation[TaskPushNotificationConfig, TaskPushNotificationConfig] = Operation(
    "CreateTaskPushNotificationConfig", TaskPushNotificationConfig
)
GET_PUSH_CONFIG: Operation[GetTaskPushNotificationConfigRequest, TaskPushNotificationConfig] = Operation(
    "GetTaskPushNotificationConfig", TaskPushNotificationConfig, is_read=True
)
LIST_PUSH_CONFIGS: Operation[
    ListTaskPushNotificationConfigsRequest, ListTaskPushNotificationConfigsResponse
] = Operation("ListTaskPushNotificationConfigs", ListTaskPushNotificationConfigsResponse, is_read=True)
DELETE_PUSH_CONFIG: Operation[DeleteTaskPushNotificationConfigRequest, Empty] = Operation(
    "DeleteTaskPushNotificationConfig", Empty
)
GET_EXTENDED_CARD: Operation[GetExtendedAgentCardRequest, AgentCard] = Operation(
    "GetExtendedAgentCard", AgentCard, is_read=True
)


@dataclass(frozen=True, slots=True)
class Extras:
    """What goes with a request beside it: headers (metadata on gRPC) and query parameters."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


# An event of a stream, and whether the peer said that it is the last one of the turn (0.3 does).
Heard: TypeAlias = tuple[StreamResponse, bool]


class Binding(Protocol):
    """One interface of an agent. Errors are those of a2a.errors; time is the caller's to bound.

    `sends_task_first`: SubscribeToTask begins with the task as it is, and what follows comes after that.
    Where that is not so it is not called.
    """

    url: str
    sends_task_first: ClassVar[bool]

    async def call(
        self, operation: Operation[RequestT, ResultT], request: RequestT, extras: Extras
    ) -> ResultT: ...

    def stream(
        self, operation: Operation[RequestT, StreamResponse], request: RequestT, extras: Extras
    ) -> AsyncGenerator[Heard]: ...
