"""Answers every JSON-RPC call with the same completed task: what clients are measured against."""

import asyncio
import json
import sys
from typing import cast

import uvloop

ID = "0b9a6a5e-6f8d-4d3b-9c39-0a6a2f5d7f11"
TASK = {
    "id": ID,
    "contextId": ID,
    "status": {"state": "TASK_STATE_COMPLETED", "timestamp": "2026-01-01T00:00:00.000Z"},
    "artifacts": [{"artifactId": ID, "name": "result", "parts": [{"text": "hello, agent"}]}],
    "history": [{"messageId": ID, "role": "ROLE_USER", "parts": [{"text": "hello, agent"}], "taskId": ID}],
}
RESULT = json.dumps({"task": TASK}, separators=(",", ":")).encode()


def http(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def card(port: int) -> bytes:
    url = f"http://127.0.0.1:{port}"
    interface = {"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
    skill = {"id": "echo", "name": "Echo", "description": "Repeat what was said", "tags": ["echo"]}
    content = {
        "name": "Fixed",
        "description": "Repeats.",
        "version": "1.0.0",
        "supportedInterfaces": [interface],
        "capabilities": {"streaming": False},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [skill],
    }
    return http(json.dumps(content).encode())


class FixedReply(asyncio.Protocol):
    def __init__(self, card: bytes) -> None:
        self._card = card
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET"):
            self._buffer = b""
            self._transport.write(self._card)
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r")[0]
        if len(body) >= int(length):
            self._buffer = b""
            # The id is the only thing in a call that an answer depends on.
            request_id = body.partition(b'"id":')[2].lstrip().partition(b",")[0].rstrip(b"} ")
            self._transport.write(http(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request_id, RESULT)))


async def main(port: int) -> None:
    answer = card(port)
    server = await asyncio.get_running_loop().create_server(lambda: FixedReply(answer), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
