"""What /docs shows of an agent: its skills with their examples, each ready to be tried out."""

from a2a.card_types import AgentCard, AgentSkill
from a2a.types import PROTOCOL_VERSION, Json

# A message id that was there before gives the task it made then: that is what the id is for.
TRY_AGAIN = "for another try change messageId, else the first answer comes again"


def agent_description(card: AgentCard) -> str:
    """Markdown for the head of the page."""
    return "\n\n".join([card.description, "## Skills", *map(_skill_section, card.skills)])


def _skill_section(skill: AgentSkill) -> str:
    lines = [f"### {skill.name} (`{skill.id}`)", skill.description]
    if skill.examples:
        lines.append("Examples:\n" + "\n".join(f"- {example}" for example in skill.examples))
    lines.append(f"Takes {', '.join(skill.input_modes or [])}; gives {', '.join(skill.output_modes or [])}.")
    return "\n\n".join(lines)


def rpc_operation(card: AgentCard) -> dict[str, Json]:
    """The OpenAPI text of the JSON-RPC endpoint: body, version header, an example per skill and operation."""
    examples: dict[str, Json] = {}
    for skill in card.skills:
        said = skill.examples[0] if skill.examples else skill.name
        for verb, method in (("send", "SendMessage"), ("stream", "SendStreamingMessage")):
            summary = f"{verb.capitalize()}: {said} ({TRY_AGAIN})"
            examples[f"{verb}_{skill.id}"] = _example(summary, method, _message(verb, skill, said))
    examples["get_task"] = _example("Get a task", "GetTask", {"id": "the id of a task"})
    examples["cancel_task"] = _example("Cancel a task", "CancelTask", {"id": "the id of a task"})
    return {
        "parameters": [
            {
                "name": "A2A-Version",
                "in": "header",
                "required": True,
                "schema": {"type": "string", "default": PROTOCOL_VERSION},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": _REQUEST_SCHEMA, "examples": examples}},
        },
        "responses": {
            "200": {
                "description": "A JSON-RPC response; a stream of them for SendStreamingMessage.",
                "content": {
                    "application/json": {"schema": _RESPONSE_SCHEMA},
                    "text/event-stream": {"schema": {"type": "string"}},
                },
            },
            "413": {"description": "The request is too large (a JSON-RPC error body)."},
            "415": {"description": "The body is not JSON (a JSON-RPC error body)."},
        },
    }


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


_REQUEST_SCHEMA: Json = {
    "type": "object",
    "required": ["jsonrpc", "method"],
    "properties": {
        "jsonrpc": {"const": "2.0"},
        "id": {"type": ["string", "integer", "null"]},
        "method": {"enum": ["SendMessage", "SendStreamingMessage", "GetTask", "CancelTask"]},
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
