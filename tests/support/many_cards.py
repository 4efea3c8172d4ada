"""As many agents as one likes, as far as their cards go: /NUMBER/.well-known/agent-card.json."""

import json
import os
from typing import Any

CARD = {
    "description": "Echoes.",
    "version": "1.0.0",
    "supportedInterfaces": [
        {"url": os.environ.get("AGENT_URL", ""), "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    ],
    "capabilities": {},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "flood", "name": "Flood", "description": "Come in great numbers.", "tags": ["many"]}],
}


async def app(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    name = scope["path"].split("/")[1]
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(CARD | {"name": f"Agent {name}"}).encode()})
