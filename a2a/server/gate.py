"""What every call passes before its parameters are looked at: caller, version, extensions (3.2.6, 3.6)."""

from collections.abc import Mapping, Sequence

from a2a.card_types import AgentExtension
from a2a.errors import ExtensionSupportRequired, VersionNotSupported
from a2a.server.context import CallContext
from a2a.server.security import Authenticator
from a2a.types import PROTOCOL_VERSION

VERSION_HEADER = "a2a-version"
EXTENSIONS_HEADER = "a2a-extensions"
# An absent version means 0.3 (3.6.2).
ABSENT_VERSION = "0.3"
_PLAIN_CALL = CallContext()


class Gate:
    """`authenticator` is None where the card asks nobody who they are."""

    def __init__(
        self, extensions: Sequence[AgentExtension] = (), authenticator: Authenticator | None = None
    ) -> None:
        self._extensions = tuple(extension.uri for extension in extensions)
        self._required = tuple(extension.uri for extension in extensions if extension.required)
        self._authenticator = authenticator

    async def enter(
        self,
        headers: Mapping[str, str],
        query: Mapping[str, str],
        *,
        versions: Sequence[str] = (PROTOCOL_VERSION,),
    ) -> CallContext:
        """The call's context. Header names are lower-case.

        Raises Unauthenticated, PermissionDenied, VersionNotSupported or ExtensionSupportRequired."""
        caller = None
        if self._authenticator is not None:
            caller = await self._authenticator.authenticate(headers, query)
        version = major_minor(headers.get(VERSION_HEADER) or query.get("A2A-Version"))
        if version not in versions:
            raise VersionNotSupported
        name = EXTENSIONS_HEADER if version == PROTOCOL_VERSION else f"x-{EXTENSIONS_HEADER}"
        declared = headers.get(name) or query.get("A2A-Extensions")
        active = self._activated(declared) if declared else ()
        missing = [uri for uri in self._required if uri not in active]
        if missing:
            raise ExtensionSupportRequired(f"Send the header A2A-Extensions: {', '.join(missing)}.")
        if caller is None and not active and version == PROTOCOL_VERSION:
            return _PLAIN_CALL
        plain = _PLAIN_CALL.caller
        return CallContext(caller if caller is not None else plain, version, active)

    def _activated(self, declared: str) -> tuple[str, ...]:
        """Another version of an extension is another URI, so nothing but the very same one counts (4.6.3)."""
        uris = {uri.strip() for uri in declared.split(",")}
        return tuple(uri for uri in self._extensions if uri in uris)


def major_minor(version: str | None) -> str:
    """The patch number does not count."""
    return ".".join((version or ABSENT_VERSION).strip().split(".")[:2])
