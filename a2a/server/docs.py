"""What /docs shows of an agent: its skills and every operation of the protocol, each ready to try out."""

from collections.abc import Callable
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from a2a.card_types import WELL_KNOWN_PATH, AgentCard, AgentSkill
from a2a.requests import (
    CancelTaskRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksResponse,
    SendMessageRequest,
    SendMessageResponse,
    TaskPushNotificationConfig,
)
from a2a.server.operations import REQUESTS
from a2a.types import PROTOCOL_VERSION, Json, StreamResponse, Task, WireModel

# A message id that was there before gives the task it made then: that is what the id is for.
TRY_AGAIN = "for another try change messageId, else the first answer comes again"
REF = "#/components/schemas/{model}"
OpenApi = Callable[[], dict[str, Json]]

_TASK = "/tasks/{id}"
_CONFIGS = "/tasks/{taskId}/pushNotificationConfigs"
# Method, path, operation, and the model of its answer; None for one that has nothing to say.
_OPERATIONS: tuple[tuple[str, str, str, type[WireModel] | None], ...] = (
    ("post", "/message:send", "SendMessage", SendMessageResponse),
    ("post", "/message:stream", "SendStreamingMessage", StreamResponse),
    ("get", "/tasks", "ListTasks", ListTasksResponse),
    ("get", _TASK, "GetTask", Task),
    ("post", _TASK + ":cancel", "CancelTask", Task),
    ("post", _TASK + ":subscribe", "SubscribeToTask", StreamResponse),
    ("post", _CONFIGS, "CreateTaskPushNotificationConfig", TaskPushNotificationConfig),
    ("get", _CONFIGS, "ListTaskPushNotificationConfigs", ListTaskPushNotificationConfigsResponse),
    ("get", _CONFIGS + "/{id}", "GetTaskPushNotificationConfig", TaskPushNotificationConfig),
    ("delete", _CONFIGS + "/{id}", "DeleteTaskPushNotificationConfig", None),
    ("get", "/extendedAgentCard", "GetExtendedAgentCard", AgentCard),
)
_STREAMING = ("SendStreamingMessage", "SubscribeToTask")
_BODIES = {
    "SendMessage": SendMessageRequest,
    "SendStreamingMessage": SendMessageRequest,
    "CreateTaskPushNotificationConfig": TaskPushNotificationConfig,
    "CancelTask": CancelTaskRequest,
}
_SUMMARIES = {
    "SendMessage": "Send a message and wait for the task",
    "SendStreamingMessage": "Send a message and follow the task",
    "ListTasks": "List tasks, newest status first",
    "GetTask": "Get a task",
    "CancelTask": "Cancel a task",
    "SubscribeToTask": "Follow a task that is not over",
    "CreateTaskPushNotificationConfig": "Have a URL told of a task's updates",
    "ListTaskPushNotificationConfigs": "List who is told of a task's updates",
    "GetTaskPushNotificationConfig": "Get one push configuration",
    "DeleteTaskPushNotificationConfig": "Delete a push configuration",
    "GetExtendedAgentCard": "Get the card for callers that are known",
}


def agent_description(card: AgentCard) -> str:
    """Markdown for the head of the page."""
    return "\n\n".join([card.description, "## Skills", *map(_skill_section, card.skills)])


def _skill_section(skill: AgentSkill) -> str:
    lines = [f"### {skill.name} (`{skill.id}`)", skill.description]
    if skill.examples:
        lines.append("Examples:\n" + "\n".join(f"- {example}" for example in skill.examples))
    lines.append(f"Takes {', '.join(skill.input_modes or [])}; gives {', '.join(skill.output_modes or [])}.")
    return "\n\n".join(lines)


def with_protocol(made: OpenApi, card: AgentCard) -> OpenApi:
    """An app's OpenAPI document with the protocol's operations."""

    def openapi() -> dict[str, Json]:
        document = made()
        paths = document.setdefault("paths", {})
        if "/message:send" in paths:
            return document
        components = document.setdefault("components", {})
        schemas = components.setdefault("schemas", {})
        refs, definitions = _schemas()
        for name, schema in {**definitions, "A2AError": _ERROR_SCHEMA}.items():
            schemas.setdefault(name, schema)
        guarded = _security(card, components)
        paths[WELL_KNOWN_PATH] = {"get": _card_operation(refs)}
        paths.setdefault("/", {})["post"] = rpc_operation(card) | guarded
        for method, path, operation, answer in _OPERATIONS:
            described = _rest_operation(card, refs, method, path, operation, answer)
            paths.setdefault(path, {})[method] = described | guarded
        return document

    return openapi


def _security(card: AgentCard, components: dict[str, Json]) -> dict[str, Json]:
    """The card's schemes as OpenAPI has them, for the page to ask for, and which of them are needed."""
    if not card.security_schemes:
        return {}
    schemes = components.setdefault("securitySchemes", {})
    for name, scheme in card.security_schemes.items():
        key, http, oauth = (
            scheme.api_key_security_scheme,
            scheme.http_auth_security_scheme,
            scheme.oauth2_security_scheme,
        )
        flow = oauth.flows.client_credentials if oauth is not None else None
        if key is not None:
            schemes[name] = {"type": "apiKey", "in": key.location, "name": key.name}
        elif http is not None:
            schemes[name] = {"type": "http", "scheme": http.scheme.lower()}
        elif flow is not None:
            flows = {"clientCredentials": {"tokenUrl": flow.token_url, "scopes": flow.scopes}}
            schemes[name] = {"type": "oauth2", "flows": flows}
    needed = [
        {name: scopes.list for name, scopes in (requirement.schemes or {}).items() if name in schemes}
        for requirement in card.security_requirements or ()
    ]
    return {"security": needed}


Refs = dict[tuple[Any, JsonSchemaMode], Json]


def _schemas() -> tuple[Refs, dict[str, Json]]:
    """A reference for every model of a body, and what the references name."""
    asked: set[tuple[Any, JsonSchemaMode]] = {(model, "validation") for model in _BODIES.values()}
    asked |= {(answer, "serialization") for *_, answer in _OPERATIONS if answer is not None}
    named, definitions = models_json_schema(
        sorted(asked, key=lambda pair: (pair[0].__name__, pair[1])), ref_template=REF
    )
    return {(model, mode): schema for (model, mode), schema in named.items()}, definitions["$defs"]


def _card_operation(refs: Refs) -> Json:
    schema = refs[AgentCard, "serialization"]
    return {
        "tags": ["A2A"],
        "summary": "Agent card",
        "responses": {"200": _response("The agent card.", "application/json", schema)},
    }


def _rest_operation(
    card: AgentCard, refs: Refs, method: str, path: str, operation: str, answer: type[WireModel] | None
) -> Json:
    described: dict[str, Json] = {
        "tags": ["A2A over HTTP+JSON"],
        "summary": _SUMMARIES[operation],
        "operationId": operation,
        "parameters": [_VERSION, *_parameters(method, path, operation)],
        "responses": {"200": _answer(refs, operation, answer), "default": _ERROR_RESPONSE},
    }
    if method == "post" and operation in _BODIES:
        schema = refs[_BODIES[operation], "validation"]
        content: dict[str, Json] = {"schema": schema}
        examples = _rest_examples(card, operation)
        if examples:
            content["examples"] = examples
        described["requestBody"] = {
            "required": operation != "CancelTask",
            "content": {"application/json": content, "application/a2a+json": {"schema": schema}},
        }
    return described


def _answer(refs: Refs, operation: str, answer: type[WireModel] | None) -> Json:
    if answer is None:
        return _response("Deleted, now or before.", "application/a2a+json", {"type": "object"})
    schema = refs[answer, "serialization"]
    if operation in _STREAMING:
        text = "Server-sent events; the data of each is one of these."
        return _response(text, "text/event-stream", schema)
    return _response(f"{answer.__name__}.", "application/a2a+json", schema)


def _response(description: str, media_type: str, schema: Json) -> Json:
    return {"description": description, "content": {media_type: {"schema": schema}}}


def _parameters(method: str, path: str, operation: str) -> list[Json]:
    """Path fields, and for a GET the rest of the request's fields as the query."""
    in_path = [name for name in ("taskId", "id") if "{" + name + "}" in path]
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path
    ]
    if method != "get":
        return parameters
    schema = REQUESTS[operation].model_json_schema(by_alias=True)
    for name, field in schema.get("properties", {}).items():
        if name not in (*in_path, "tenant"):
            parameters.append({"name": name, "in": "query", "schema": _flat(field, schema)})
    return parameters


def _flat(field: Json, schema: Json) -> Json:
    """A query field's schema without null and references."""
    for variant in field.get("anyOf", [field]):
        if "$ref" in variant:
            found: Json = schema["$defs"][variant["$ref"].rsplit("/", 1)[-1]]
            return found
        if variant.get("type") != "null":
            return variant
    return field


def _rest_examples(card: AgentCard, operation: str) -> dict[str, Json]:
    if operation == "CancelTask":
        return {"cancel": {"summary": "Cancel it", "value": {}}}
    if operation == "CreateTaskPushNotificationConfig":
        return {"webhook": {"summary": "A webhook", "value": {"url": "http://127.0.0.1:9000/updates"}}}
    if operation not in ("SendMessage", "SendStreamingMessage"):
        return {}
    verb = "rest-send" if operation == "SendMessage" else "rest-stream"
    return {
        f"{verb}_{skill.id}": {"summary": f"{said} ({TRY_AGAIN})", "value": _message(verb, skill, said)}
        for skill, said in ((skill, _said(skill)) for skill in card.skills)
    }


def rpc_operation(card: AgentCard) -> dict[str, Json]:
    """The OpenAPI text of the JSON-RPC endpoint: body, version header, an example per skill and operation."""
    examples: dict[str, Json] = {}
    for skill in card.skills:
        said = _said(skill)
        for verb, method in (("send", "SendMessage"), ("stream", "SendStreamingMessage")):
            summary = f"{verb.capitalize()}: {said} ({TRY_AGAIN})"
            examples[f"{verb}_{skill.id}"] = _example(summary, method, _message(verb, skill, said))
    examples["list_tasks"] = _example("List tasks", "ListTasks", {"pageSize": 10})
    examples["get_task"] = _example("Get a task", "GetTask", {"id": "the id of a task"})
    examples["cancel_task"] = _example("Cancel a task", "CancelTask", {"id": "the id of a task"})
    return {
        "tags": ["A2A"],
        "summary": "JSON-RPC endpoint",
        "parameters": [_VERSION],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _REQUEST_SCHEMA, "examples": examples}},
        },
        "responses": {
            "200": {
                "description": "A JSON-RPC response; a stream of them for SendStreamingMessage"
                " and SubscribeToTask.",
                "content": {
                    "application/json": {"schema": _RESPONSE_SCHEMA},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            "413": {"description": "The request is too large (a JSON-RPC error body)."},
            "415": {"description": "The body is not JSON (a JSON-RPC error body)."},
        },
    }


def _said(skill: AgentSkill) -> str:
    return skill.examples[0] if skill.examples else skill.name


def _message(verb: str, skill: AgentSkill, said: str) -> Json:
    """A message id of its own for each example, with a number that says how the next one could look."""
    return {
        "message": {
            "messageId": f"{verb}-{skill.id}-1",
            "role": "ROLE_USER",
            "parts": [{"text": said}],
            "metadata": {"skillId": skill.id},
        }
    }


def _example(summary: str, method: str, params: Json) -> Json:
    value = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return {"summary": summary, "value": value}


_VERSION: Json = {
    "name": "A2A-Version",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": [PROTOCOL_VERSION], "default": PROTOCOL_VERSION},
}
_REQUEST_SCHEMA: Json = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer", "null"]},
        "method": {"enum": list(REQUESTS)},
        "params": {"type": "object"},
    },
}
_RESPONSE_SCHEMA: Json = {
    "type": "object",
    "required": ["jsonrpc", "id"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer", "null"]},
        "result": {"type": "object"},
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "data": {"type": "array", "items": {"type": "object"}},
            },
        },
    },
}
_ERROR_SCHEMA: Json = {
    "title": "A2AError",
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "status", "message"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "status": {"type": "string", "description": "The name of the gRPC status."},
                "message": {"type": "string"},
                "details": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
_ERROR_RESPONSE: Json = {
    "description": "An error of the protocol, as google.rpc.Status.",
    "content": {"application/a2a+json": {"schema": {"$ref": REF.format(model="A2AError")}}},
}
