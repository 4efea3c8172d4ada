"""Who calls, and what came along with the call beside its parameters (specification section 3.2.6)."""

from dataclasses import dataclass

from a2a.requests import TenantRequest

ANONYMOUS = ""


@dataclass(frozen=True, slots=True)
class CallContext:
    """`caller` is empty where the agent asks nobody who they are. `extensions` are the URIs the client
    declared that this agent has; `skills_denied` names skills whose own requirements the caller misses."""

    caller: str = ANONYMOUS
    extensions: frozenset[str] = frozenset()
    skills_denied: frozenset[str] = frozenset()
    is_authenticated: bool = False

    def owner(self, request: TenantRequest) -> str:
        """Whose tasks the request is about. A line break can be in neither half."""
        return f"{request.tenant or ''}\n{self.caller}"
