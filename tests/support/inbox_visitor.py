"""An agent that fetches its requests by hand: what curl would do."""

from typing import Any

import httpx

Json = dict[str, Any]


def card(name: str = "Sleeper", *skills: str) -> Json:
    listed = [
        {
            "id": skill,
            "name": skill,
            "description": f"{skill} what is said",
            "tags": [skill],
            "examples": [f"{skill} this"],
        }
        for skill in skills or ("dream",)
    ]
    return {
        "name": name,
        "description": "Works when it is awake.",
        "version": "1.0.0",
        "capabilities": {},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": listed,
    }


def said(text: str) -> Json:
    """The result of a SendMessage that is answered by a message."""
    return {"message": {"messageId": f"m-{text}", "role": "ROLE_AGENT", "parts": [{"text": text}]}}


def task(state: str, text: str | None = None, *, task_id: str = "remote-1") -> Json:
    found: Json = {"id": task_id, "contextId": "c-1", "status": {"state": f"TASK_STATE_{state}"}}
    if text is not None:
        message = {"messageId": "m-1", "role": "ROLE_AGENT", "parts": [{"text": text}]}
        found["status"]["message"] = message
    return found


class Visitor:
    """`http` is a client of the coordinator."""

    def __init__(self, http: httpx.Client, *skills: str, name: str = "Sleeper") -> None:
        self.http = http
        self.skill = skills[0] if skills else "dream"
        registered = http.post("/api/agents", json={"card": card(name, *skills)})
        assert registered.status_code == 201, registered.text
        self.joined: Json = registered.json()
        self.id = str(self.joined["id"])
        self.secret = str(self.joined["inbox_secret"])

    def post(self, *, secret: str | None = None, **body: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {secret or self.secret}"}
        return self.http.post(f"/api/agents/{self.id}/inbox", json=body, headers=headers)

    def visit(self, *answers: Json, wait_s: float = 10.0, **more: Any) -> Json:
        response = self.post(answers=list(answers), wait_s=wait_s, **more)
        assert response.status_code == 200, response.text
        found: Json = response.json()
        return found

    def fetch(self, **more: Any) -> Json:
        """The one request that comes next."""
        [request] = self.visit(**more)["requests"]
        found: Json = request
        return found

    def work(self, answer: str = "done") -> Json:
        """Fetch a request and answer it; the request."""
        request = self.fetch()
        self.visit(result(request, said(answer)), wait_s=0)
        return request


def result(request: Json, value: Json) -> Json:
    """One entry of `answers`."""
    rpc_id = request["request"]["id"]
    return {"id": request["id"], "response": {"jsonrpc": "2.0", "id": rpc_id, "result": value}}


def failure(request: Json, code: int) -> Json:
    response = {"jsonrpc": "2.0", "id": request["request"]["id"], "error": {"code": code, "message": "no"}}
    return {"id": request["id"], "response": response}
