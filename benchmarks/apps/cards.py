"""As many agents as one likes, as far as their cards go: /NUMBER/.well-known/agent-card.json, with an ETag.

The agents whose number is in SLOW (from 0 on) take their time.
"""

import asyncio
import os
from typing import Any

SLOW = int(os.environ.get("SLOW", "0"))
SLOW_S = 3.0
ETAG = b'"1"'
CARD = (
    b'{"name":"Agent","description":"Echoes.","version":"1","supportedInterfaces":[{"url":"http://127.0.0.1/",'
    b'"protocolBinding":"JSONRPC","protocolVersion":"1.0"}],"capabilities":{},"defaultInputModes":["text/plain"],'
    b'"defaultOutputModes":["text/plain"],"skills":[{"id":"echo","name":"Echo","description":"Echo.","tags":[]}]}'
)


async def app(scope: Any, _receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    number = scope["path"].split("/")[1]
    if number.isdigit() and int(number) < SLOW:
        await asyncio.sleep(SLOW_S)
    is_known = any(name == b"if-none-match" and value == ETAG for name, value in scope["headers"])
    headers = [(b"content-type", b"application/json"), (b"etag", ETAG)]
    await send({"type": "http.response.start", "status": 304 if is_known else 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if is_known else CARD})
