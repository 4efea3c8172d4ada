"""Who calls, and what came along with the call beside its parameters (specification section 3.2.6)."""

from dataclasses import dataclass

from a2a.requests import TenantRequest
from a2a.server.security import ANONYMOUS, Caller


@dataclass(frozen=True, slots=True)
class CallContext:
    """`version` is the protocol's, Major.Minor. `extensions` are the URIs that the client declared and the
    agent has: what is activated, in the order of the card."""

    caller: Caller = ANONYMOUS
    version: str = "1.0"
    extensions: tuple[str, ...] = ()

    def owner(self, request: TenantRequest) -> str:
        """Whose tasks the request is about. A line break can be in neither half."""
        return f"{request.tenant or ''}\n{self.caller.name}"
