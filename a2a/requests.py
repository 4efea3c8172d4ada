"""What each of the eleven operations takes and gives (specification section 3), the same on every binding."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from a2a.types import Message, Metadata, Task, TaskState, Timestamp, WireModel

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 100

Id = Annotated[str, Field(min_length=1, max_length=1_000)]
HistoryLength = Annotated[int, Field(ge=0)]
# null is how ProtoJSON may say that a field is not set.
Flag = Annotated[bool, BeforeValidator(lambda value: False if value is None else value)]
PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)]


class Empty(WireModel):
    """The answer of an operation that has nothing to say."""


class TenantRequest(WireModel):
    """`tenant` is the interface's from the card: tasks made under one are seen under it alone."""

    tenant: Annotated[str, Field(max_length=200)] | None = None


class AuthenticationInfo(WireModel):
    """How a push notification authenticates itself: `Authorization: <scheme> <credentials>`."""

    scheme: Annotated[str, Field(min_length=1, max_length=100)]
    credentials: Annotated[str, Field(max_length=10_000)] | None = None


class TaskPushNotificationConfig(TenantRequest):
    """Where the updates of a task are posted to (4.3.1). `token` comes back to the receiver as it is."""

    id: Annotated[str, Field(max_length=200)] | None = None
    task_id: Annotated[str, Field(max_length=1_000)] | None = None
    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    token: Annotated[str, Field(max_length=10_000)] | None = None
    authentication: AuthenticationInfo | None = None


class SendMessageConfiguration(WireModel):
    accepted_output_modes: list[str] | None = None
    task_push_notification_config: TaskPushNotificationConfig | None = None
    history_length: HistoryLength | None = None
    return_immediately: Flag = False


class SendMessageRequest(TenantRequest):
    message: Message
    configuration: SendMessageConfiguration | None = None
    metadata: Metadata | None = None


class SendMessageResponse(WireModel):
    task: Task | None = None
    message: Message | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.task is None) == (self.message is None):
            raise ValueError("one of task and message is needed")
        return self


class GetTaskRequest(TenantRequest):
    id: Id
    history_length: HistoryLength | None = None


class ListTasksRequest(TenantRequest):
    """Filters and paging (3.1.4). Without `include_artifacts` tasks come without their artifacts."""

    context_id: str | None = None
    status: TaskState | None = None
    status_timestamp_after: Timestamp | None = None
    history_length: HistoryLength | None = None
    include_artifacts: bool | None = None
    page_size: PageSize | None = None
    page_token: str | None = None


class ListTasksResponse(WireModel):
    """Newest status first. `next_page_token` is empty on the last page; `total_size` counts what the caller
    may see under the same filters."""

    tasks: list[Task]
    next_page_token: str
    page_size: int
    total_size: int


class CancelTaskRequest(TenantRequest):
    id: Id
    metadata: Metadata | None = None


class SubscribeToTaskRequest(TenantRequest):
    id: Id


class GetTaskPushNotificationConfigRequest(TenantRequest):
    task_id: Id
    id: Id


class DeleteTaskPushNotificationConfigRequest(TenantRequest):
    task_id: Id
    id: Id


class ListTaskPushNotificationConfigsRequest(TenantRequest):
    task_id: Id
    page_size: PageSize | None = None
    page_token: str | None = None


class ListTaskPushNotificationConfigsResponse(WireModel):
    # Left out by peers that leave out what is empty, as ProtoJSON may.
    configs: list[TaskPushNotificationConfig] = Field(default_factory=list)
    next_page_token: str | None = None


class GetExtendedAgentCardRequest(TenantRequest):
    pass
