"""ExecutorError
├── TaskNotFound          no such task
├── ArtifactNotFound      the task has no such artifact
├── WrongState            the task is not in a state where that can be done
├── IdempotencyConflict   the key was used for another request
├── LeaseLost             another process owns the task now; the one that sees this stops quietly
└── NewsCame              somebody acted on the task that its run was about to leave to a person
"""


class ExecutorError(Exception):
    """Base of the executor's errors."""


class TaskNotFound(ExecutorError):
    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"There is no task {task_id}.")


class ArtifactNotFound(ExecutorError):
    def __init__(self, artifact_id: str) -> None:
        self.artifact_id = artifact_id
        super().__init__(f"The task has no artifact {artifact_id}.")


class WrongState(ExecutorError):
    def __init__(self, task_id: str, status: str, wanted: str) -> None:
        self.task_id = task_id
        self.status = status
        super().__init__(f"The task is {status}; {wanted}.")


class IdempotencyConflict(ExecutorError):
    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__("This Idempotency-Key was used for another request; choose a new one.")


class LeaseLost(ExecutorError):
    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"The lease on task {task_id} is held by another process.")


class NewsCame(ExecutorError):
    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(f"Something happened to task {task_id} meanwhile.")
