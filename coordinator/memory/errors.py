"""MemoryServiceError
└── SessionNotFound    no such session
"""


class MemoryServiceError(Exception):
    """Base of the memory's errors."""


class SessionNotFound(MemoryServiceError):
    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(f"There is no session {session_id}. Leave session_id out to start a new one.")
