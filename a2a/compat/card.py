"""Agent cards of 0.3 (and 0.2, which has the same keys) as 1.0 cards, and the 0.3 keys of a 1.0 card.

Signatures do not survive a translation, for they sign the other JSON; a dual card keeps those of its
1.0 keys.
"""

import re
from collections.abc import Callable

from a2a.compat.reading import JsonObject, ShapeError, field, list_at, object_at, picked, text_at
from a2a.types import Json

V03_CARD_PATH = "/.well-known/agent.json"
V03_VERSION = "0.3"
JSON_RPC = "JSONRPC"

_CARD = ("name", "description", "version", "documentationUrl", "iconUrl")
_CAPABILITIES = ("streaming", "pushNotifications", "extensions")
_SKILL = ("id", "name", "description", "examples")
_FLOW = ("authorizationUrl", "tokenUrl", "refreshUrl", "scopes")
# 1.0 has one flow per scheme where 0.3 has an object of them: the first of these that is there is kept.
_FLOWS = ("authorizationCode", "clientCredentials", "implicit", "password")
_MAJOR_MINOR = re.compile(r"(\d{1,4})\.(\d{1,4})(?!\d)")


def is_v03_card(card: Json) -> bool:
    """A card with both key sets is a 1.0 card: its supportedInterfaces say more."""
    return isinstance(card, dict) and not field(card, "supportedInterfaces") and bool(card.get("url"))


def major_minor(version: Json) -> str:
    """ "0.3" of "0.3.0"; 0.3 where the card says nothing that can be read."""
    found = _MAJOR_MINOR.match(version) if isinstance(version, str) else None
    return f"{int(found[1])}.{int(found[2])}" if found else V03_VERSION


def is_legacy(version: str) -> bool:
    """Whether an interface of this protocolVersion is spoken to as 0.3: everything before 1.0."""
    return major_minor(version).startswith("0.")


def card_from_v03(value: Json) -> JsonObject:
    """The 1.0 JSON of a 0.3 card; a card with supportedInterfaces comes back as it is."""
    card = object_at(value, "card")
    if not is_v03_card(card):
        return card
    translated = {
        **picked(card, _CARD),
        "supportedInterfaces": _interfaces_from_v03(card),
        "capabilities": _capabilities_from_v03(card),
        "defaultInputModes": _modes_from_v03(field(card, "defaultInputModes"), "defaultInputModes"),
        "defaultOutputModes": _modes_from_v03(field(card, "defaultOutputModes"), "defaultOutputModes"),
        "skills": [
            _skill_from_v03(skill, f"skills.{index}")
            for index, skill in enumerate(list_at(card.get("skills"), "skills"))
        ],
    }
    provider = card.get("provider")
    # In 0.2 a provider needs no url; in 1.0 half a provider is none.
    if isinstance(provider, dict) and provider.get("url") and provider.get("organization"):
        translated["provider"] = picked(provider, ("url", "organization"))
    schemes = field(card, "securitySchemes")
    if schemes is not None:
        translated["securitySchemes"] = _schemes_from_v03(object_at(schemes, "securitySchemes"))
    if card.get("security") is not None:
        translated["securityRequirements"] = _requirements_from_v03(card["security"], "security")
    return translated


def _interfaces_from_v03(card: JsonObject) -> list[JsonObject]:
    """The preferred one first; the same url and transport once."""
    version = major_minor(field(card, "protocolVersion"))
    pairs = [(card["url"], field(card, "preferredTransport") or JSON_RPC)]
    for index, value in enumerate(list_at(field(card, "additionalInterfaces"), "additionalInterfaces")):
        interface = object_at(value, f"additionalInterfaces.{index}")
        pairs.append((interface.get("url"), interface.get("transport") or JSON_RPC))
    if not all(isinstance(url, str) and isinstance(transport, str) for url, transport in pairs):
        raise ShapeError("additionalInterfaces", "url and transport have to be strings")
    return [
        {"url": url, "protocolBinding": transport, "protocolVersion": version}
        for url, transport in dict.fromkeys(pairs)
    ]


def _capabilities_from_v03(card: JsonObject) -> JsonObject:
    capabilities = card.get("capabilities")
    translated = picked(object_at(capabilities, "capabilities"), _CAPABILITIES) if capabilities else {}
    extended = field(card, "supportsAuthenticatedExtendedCard")
    if extended is not None:
        translated["extendedAgentCard"] = extended
    return translated


def _modes_from_v03(value: Json, at: str) -> list[str]:
    """Cards of that time say "text" for text/plain."""
    modes = [text_at(mode, at) for mode in list_at(value, at)]
    return list(dict.fromkeys("text/plain" if mode == "text" else mode for mode in modes))


def _skill_from_v03(value: Json, at: str) -> JsonObject:
    skill = object_at(value, at)
    translated = {**picked(skill, _SKILL), "tags": list_at(skill.get("tags"), f"{at}.tags")}
    for name in ("inputModes", "outputModes"):
        if field(skill, name) is not None:
            translated[name] = _modes_from_v03(field(skill, name), f"{at}.{name}")
    if skill.get("security") is not None:
        translated["securityRequirements"] = _requirements_from_v03(skill["security"], f"{at}.security")
    return translated


def _requirements_from_v03(value: Json, at: str) -> list[JsonObject]:
    requirements = []
    for index, item in enumerate(list_at(value, at)):
        schemes = object_at(item, f"{at}.{index}")
        if isinstance(schemes.get("schemes"), dict):
            # The proto's form, which a 0.3 agent may serve over REST, is that of 1.0.
            requirements.append(picked(schemes, ("schemes",)))
        else:
            scopes = {name: {"list": list_at(listed, f"{at}.{index}")} for name, listed in schemes.items()}
            requirements.append({"schemes": scopes})
    return requirements


_SCHEME_KEYS = {
    "apiKey": "apiKeySecurityScheme",
    "http": "httpAuthSecurityScheme",
    "oauth2": "oauth2SecurityScheme",
    "openIdConnect": "openIdConnectSecurityScheme",
    "mutualTLS": "mtlsSecurityScheme",
}
_SCHEME_FIELDS = {
    "apiKey": ("name", "description"),
    "http": ("scheme", "bearerFormat", "description"),
    "oauth2": ("oauth2MetadataUrl", "description"),
    "openIdConnect": ("openIdConnectUrl", "description"),
    "mutualTLS": ("description",),
}


def _schemes_from_v03(schemes: JsonObject) -> JsonObject:
    """Schemes of a type that 1.0 has no name for are left out: nobody could use them."""
    translated = {
        name: _scheme_from_v03(item, f"securitySchemes.{name[:100]}") for name, item in schemes.items()
    }
    return {name: scheme for name, scheme in translated.items() if scheme is not None}


def _scheme_from_v03(value: Json, at: str) -> JsonObject | None:
    scheme = object_at(value, at)
    kind = scheme.get("type")
    if not isinstance(kind, str) or kind not in _SCHEME_KEYS:
        in_proto_form = [key for key in _SCHEME_KEYS.values() if isinstance(scheme.get(key), dict)]
        return {in_proto_form[0]: scheme[in_proto_form[0]]} if len(in_proto_form) == 1 else None
    content = picked(scheme, _SCHEME_FIELDS[kind])
    if kind == "apiKey":
        content |= {"location": scheme.get("in")}
    if kind == "oauth2":
        content["flows"] = _flow_from_v03(object_at(scheme.get("flows"), f"{at}.flows"), f"{at}.flows")
    return {_SCHEME_KEYS[kind]: content}


def _flow_from_v03(flows: JsonObject, at: str) -> JsonObject:
    for name in _FLOWS:
        if field(flows, name) is not None:
            return {name: picked(object_at(field(flows, name), f"{at}.{name}"), _FLOW)}
    raise ShapeError(at, "needs a flow")


def card_to_v03(card: JsonObject) -> JsonObject:
    """The 0.3 card of a 1.0 card that lists a 0.3 interface. Raises ShapeError where it lists none."""
    interfaces = [item for item in card["supportedInterfaces"] if is_legacy(item["protocolVersion"])]
    if not interfaces:
        raise ShapeError("supportedInterfaces", "has no interface of A2A 0.3")
    capabilities = card["capabilities"]
    translated = {
        **picked(card, (*_CARD, "provider", "defaultInputModes", "defaultOutputModes")),
        "protocolVersion": "0.3.0",
        "url": interfaces[0]["url"],
        "preferredTransport": interfaces[0]["protocolBinding"],
        "additionalInterfaces": [
            {"url": item["url"], "transport": item["protocolBinding"]} for item in interfaces
        ],
        "capabilities": picked(capabilities, _CAPABILITIES),
        "skills": [_skill_to_v03(skill) for skill in card["skills"]],
    }
    if capabilities.get("extendedAgentCard") is not None:
        translated["supportsAuthenticatedExtendedCard"] = capabilities["extendedAgentCard"]
    if card.get("securitySchemes") is not None:
        schemes = card["securitySchemes"].items()
        translated["securitySchemes"] = {name: _scheme_to_v03(scheme) for name, scheme in schemes}
    if card.get("securityRequirements") is not None:
        translated["security"] = _requirements_to_v03(card["securityRequirements"])
    return translated


def dual_card(card: JsonObject) -> JsonObject:
    """One JSON that 1.0 and 0.3 clients read, each its own keys: what a server with a 0.3 face serves."""
    legacy = card_to_v03(card)
    dual = {**legacy, **card}
    dual["skills"] = [{**old, **new} for old, new in zip(legacy["skills"], card["skills"], strict=True)]
    if card.get("securitySchemes") is not None:
        schemes = card["securitySchemes"].items()
        dual["securitySchemes"] = {name: {**legacy["securitySchemes"][name], **new} for name, new in schemes}
    return dual


def _skill_to_v03(skill: JsonObject) -> JsonObject:
    translated = picked(skill, (*_SKILL, "tags", "inputModes", "outputModes"))
    if skill.get("securityRequirements") is not None:
        translated["security"] = _requirements_to_v03(skill["securityRequirements"])
    return translated


def _requirements_to_v03(requirements: list[JsonObject]) -> list[JsonObject]:
    return [
        {name: scopes.get("list") or [] for name, scopes in (requirement.get("schemes") or {}).items()}
        for requirement in requirements
    ]


def _scheme_to_v03(scheme: JsonObject) -> JsonObject:
    for kind, key in _SCHEME_KEYS.items():
        content = scheme.get(key)
        if content is None:
            continue
        translated = {"type": kind, **picked(content, _SCHEME_FIELDS[kind])}
        return {**translated, **_SCHEME_EXTRAS[kind](content)} if kind in _SCHEME_EXTRAS else translated
    raise ShapeError("securitySchemes", "has a scheme of no known type")


# A device code flow has no name in 0.3: its scheme has no flow there.
_SCHEME_EXTRAS: dict[str, Callable[[JsonObject], JsonObject]] = {
    "apiKey": lambda content: {"in": content["location"]},
    "oauth2": lambda content: {
        "flows": {
            name: picked(flow, _FLOW) for name, flow in (content.get("flows") or {}).items() if name in _FLOWS
        }
    },
}
