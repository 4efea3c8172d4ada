"""Whatever arrives at an agent, by its OpenAPI document or against it, is answered as the protocol says."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from a2a import Agent, InputRequired, Request
from a2a.settings import AgentSettings
from tests.support.bindings import message
from tests.support.server import serving

# The same requests in every run: what fails here fails on every machine.
SEED = 20_261_121
TIMEOUT_S = 10.0
V1 = {"A2A-Version": "1.0"}
# Words of our own insides that no answer may hold.
INTERNAL = ("Traceback", "pydantic", "site-packages", '.py"', "sqlalchemy", "input_value", "object at 0x")
METHODS = [
    "SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask",
    "CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig", "ListTaskPushNotificationConfigs",
    "DeleteTaskPushNotificationConfig", "GetExtendedAgentCard",
]  # fmt: skip
POSTS = ["/message:send", "/message:stream", "/tasks/x:cancel", "/tasks/x/pushNotificationConfigs"]
bounded = settings(
    max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
)


def make_agent() -> Agent:
    agent = Agent(name="Fuzzed", description="Takes anything.", version="1.0.0", url="http://127.0.0.1:9")

    @agent.skill(id="echo", description="Say it again", tags=["echo"], input_modes=["*/*"])
    async def echo(request: Request) -> str:
        return request.text

    @agent.skill(id="ask", description="Ask back", tags=["ask"], input_modes=["*/*"])
    async def ask(request: Request) -> str:
        if not request.history:
            raise InputRequired("Which one?")
        return request.text

    return agent


@pytest.fixture(scope="module", params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    store = f"sqlite:///{tmp_path_factory.mktemp('fuzz')}/tasks.db" if request.param == "sqlite" else None
    settings_ = AgentSettings(coordinator_url=None, task_store_url=store, agent_grace_s=0)
    print(f"seed {SEED}")  # noqa: T201 for whoever wants the same run
    with serving(make_agent().app(settings_)) as server:
        yield server.url


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False, verify=False) as client:  # noqa: S501 loopback
        yield client


# By the document


def test_what_the_document_allows_is_answered_as_it_says(url: str) -> None:
    """11.6: statuses, media types and shapes are those of the document, and none is a 500"""
    seen = []
    for found in schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations():
        assert isinstance(found, Ok), found
        operation = found.ok()
        if not operation.path.endswith(":subscribe"):  # a stream that may never end
            seen.append(operation.path)
            check_operation(operation)

    assert "/message:send" in seen


def check_operation(operation: Any) -> None:
    checks = schemathesis.checks
    wanted = [
        checks.not_a_server_error,
        checks.response_schema_conformance,
        checks.content_type_conformance,
    ]

    @seed(SEED)
    @settings(bounded, max_examples=30)
    @given(case=operation.as_strategy())
    def conforms(case: schemathesis.Case[Any]) -> None:
        case.validate_response(case.call(timeout=TIMEOUT_S), checks=wanted)

    conforms()


# Against all rules


def check(answer: httpx.Response) -> None:
    """An answer of the protocol, whatever it says."""
    text = answer.text
    assert answer.status_code < 500, text
    assert not [word for word in INTERNAL if word in text], text
    media_type = answer.headers["content-type"].partition(";")[0]
    if media_type == "text/event-stream":
        return
    assert media_type in ("application/json", "application/a2a+json")
    body = answer.json()
    if "jsonrpc" in body:
        assert set(body) in ({"jsonrpc", "id", "result"}, {"jsonrpc", "id", "error"})
        error = body.get("error")
        assert error is None or {"code", "message"} <= set(error) <= {"code", "message", "data"}
    elif answer.status_code != 200:
        assert set(body["error"]) == {"code", "status", "message", "details"}
        assert body["error"]["code"] == answer.status_code


def post(http: httpx.Client, address: str, body: bytes) -> None:
    headers = {**V1, "Content-Type": "application/json"}
    check(http.post(address, content=body, headers=headers))


def everywhere(http: httpx.Client, url: str, params: bytes) -> None:
    """As the parameters of every operation, over both bindings."""
    for method in METHODS:
        envelope = b'{"jsonrpc":"2.0","id":1,"method":"%b","params":%b}' % (method.encode(), params)
        post(http, f"{url}/", envelope)
    for path in POSTS:
        post(http, url + path, params)


SAID = b'{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}],"metadata":{"skillId":"echo"}'
HOSTILE: dict[str, bytes] = {
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"message":' * 20_000 + b"1" + b"}" * 20_000,
    "deep data": b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"data":'
    + b"[" * 190 + b"]" * 190 + b"}]}}",
    "deep metadata": b'{"message":' + SAID + b',"metadata":' + b'{"a":' * 190 + b"1" + b"}" * 190 + b"}}",
    "a huge integer": b'{"id":"x","historyLength":' + b"9" * 4_000 + b"}",
    "a huger integer": b'{"id":"x","historyLength":' + b"9" * 100_000 + b"}",
    "an integer beyond 64 bits": b'{"id":"x","pageSize":18446744073709551616,"historyLength":1e19}',
    "a float of no size": b'{"message":' + SAID + b',"metadata":{"n":1e400}}}',
    "a negative one": b'{"id":"x","historyLength":-1e400}',
    "a tiny one": b'{"id":"x","historyLength":1e-400}',
    "not a number": b'{"id":NaN}',
    "infinity": b'{"message":' + SAID + b',"metadata":{"n":-Infinity}}}',
    "a NUL in a name": b'{"message":' + SAID + b',"a\\u0000b":1}}',
    "a NUL in a value": b'{"message":' + SAID + b',"contextId":"a\\u0000"}}',
    "NULs in ids": b'{"id":"\\u0000","taskId":"\\u0000","contextId":"\\u0000","tenant":"\\u0000"}',
    "a NUL in a token": b'{"pageToken":"\\u0000"}',
    "a raw NUL": b'{"id":"\x00"}',
    "a lone surrogate": b'{"id":"\\ud800"}',
    "a lone surrogate in a text": b'{"message":' + SAID + b',"parts":[{"text":"\\udfff"}]}}',
    "a lone surrogate as a key": b'{"message":' + SAID + b',"metadata":{"\\ud800":1}}}',
    "invalid UTF-8": b'{"id":"\xff\xfe"}',
    "a surrogate in UTF-8": b'{"id":"\xed\xa0\x80"}',
    "an overlong slash": b'{"id":"\xc0\xaf"}',
    "cut off": b'{"message":' + SAID,
    "a byte order mark": b'\xef\xbb\xbf{"id":"x"}',
    "UTF-16": '{"id":"x"}'.encode("utf-16"),
    "keys that come twice": b'{"id":"x","id":7,"message":1,"message":' + SAID + b"}}",
    "both spellings of a key": b'{"message":' + SAID + b',"message_id":7,"context_id":[],"contextId":"c"}}',
    "prototype": b'{"__proto__":{"id":"x"},"constructor":1,"__class__":1,"id":"x"}',
    "a long id": b'{"id":"' + b"x" * 2_000_000 + b'"}',
    "a long word": b'{"message":' + SAID + b',"parts":[{"text":"' + b"x" * 2_000_000 + b'"}]}}',
    "many keys": b'{"message":' + SAID + b"," + b",".join(b'"k%d":1' % n for n in range(50_000)) + b"}}",
    "many parts": b'{"message":{"messageId":"m","role":"ROLE_USER","parts":[' + b"{}," * 50_000 + b"{}]}}",
    "far times": b'{"statusTimestampAfter":"9999-12-31T23:59:59.999999-23:59"}',
    "early times": b'{"statusTimestampAfter":"0001-01-01T00:00:00+23:59"}',
    "times as numbers": b'{"statusTimestampAfter":1e308}',
    "a webhook to a file": b'{"taskId":"x","url":"file:///etc/passwd"}',
    "a webhook of many brackets": b'{"taskId":"x","url":"http://[[[[[::1"}',
}  # fmt: skip


@pytest.mark.parametrize("params", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_json_is_answered_as_the_protocol_says(http: httpx.Client, url: str, params: bytes) -> None:
    """9.5, 11.6, 13.4"""
    everywhere(http, url, params)


QUERIES = [
    "pageSize=" + "9" * 5_000, "historyLength=1e400", "pageToken=%00", "contextId=%00", "contextId=%ff%fe",
    "status=%ed%a0%80", "statusTimestampAfter=9999-12-31T23:59:59-23:59", "&".join(["a=1"] * 1_000),
    "pageSize=1&pageSize=x", "%00=%00", "tenant=%0a", "includeArtifacts=%F0%9F%99%82", "=&=&&",
    "pageSize=%D9%A1",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("path", ["/tasks", "/tasks/x", "/%00/tasks", "/tasks/%ff:subscribe", "/tasks/%00"])
def test_hostile_queries_are_answered_as_the_protocol_says(
    http: httpx.Client, url: str, path: str, query: str
) -> None:
    """11.5, 11.6"""
    check(http.get(f"{url}{path}?{query}", headers=V1))


@pytest.mark.parametrize("name", ["A2A-Version", "A2A-Extensions", "Content-Type", "Accept", "Authorization"])
@pytest.mark.parametrize(
    "value", [b"", b",,,,", b"\xff\xfe", b"a" * 10_000, b"1.0, 1.0", b'";\\"', b"1" * 500 + b".0"]
)
def test_hostile_headers_are_answered_as_the_protocol_says(
    http: httpx.Client, url: str, name: str, value: bytes
) -> None:
    """3.2.6, 3.6"""
    usual = {b"A2A-Version": b"1.0", b"Content-Type": b"application/json"}
    headers = list({**usual, name.encode(): value}.items())
    for path in ("/", "/message:send"):
        check(
            http.post(url + path, content=b'{"jsonrpc":"2.0","id":1,"method":"ListTasks"}', headers=headers)
        )


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["ROLE_USER", "TASK_STATE_WORKING", "echo", "ask", "http://127.0.0.1:9/", "AA==", "\0"])
)  # fmt: skip
KEYS = st.sampled_from([
    "message", "messageId", "role", "parts", "text", "raw", "url", "data", "metadata", "mediaType",
    "filename",
    "contextId", "taskId", "id", "configuration", "historyLength", "returnImmediately", "tenant", "status",
    "pageSize", "pageToken", "statusTimestampAfter", "includeArtifacts", "token",
    "taskPushNotificationConfig",
    "authentication", "scheme", "credentials", "extensions", "referenceTaskIds", "acceptedOutputModes",
    "skillId",
])  # fmt: skip
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)
# Near enough to a message that what is inside of it is looked at.
MESSAGES = st.fixed_dictionaries(
    {"messageId": st.text(min_size=1, max_size=5), "role": st.just("ROLE_USER")},
    optional={
        "parts": st.lists(
            st.fixed_dictionaries({"text": st.text(max_size=5)}) | st.dictionaries(KEYS, SCALARS, max_size=2),
            max_size=3,
        ),
        "metadata": st.just({"skillId": "echo"}) | st.just({"skillId": "ask"}) | ANY_JSON,
        "contextId": SCALARS,
        "taskId": SCALARS,
        "extensions": ANY_JSON,
        "referenceTaskIds": ANY_JSON,
    },
)
PARAMS = ANY_JSON | st.fixed_dictionaries({"message": MESSAGES}, optional={"configuration": ANY_JSON})


def written(value: object) -> bytes:
    """With surrogates and non-numbers as Python writes them, which JSON has not."""
    return json.dumps(value).encode()


@seed(SEED)
@bounded
@given(method=st.sampled_from(METHODS), params=PARAMS)
def test_any_json_over_json_rpc_is_answered_as_the_protocol_says(
    http: httpx.Client, url: str, method: str, params: object
) -> None:
    """9.5"""
    post(http, f"{url}/", written({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))


@seed(SEED)
@bounded
@given(path=st.sampled_from(POSTS), params=PARAMS)
def test_any_json_over_http_json_is_answered_as_the_protocol_says(
    http: httpx.Client, url: str, path: str, params: object
) -> None:
    """11.6"""
    post(http, url + path, written(params))


@seed(SEED)
@bounded
@given(path=st.sampled_from(["/", *POSTS]), body=st.binary(max_size=200))
def test_any_bytes_are_answered_as_the_protocol_says(
    http: httpx.Client, url: str, path: str, body: bytes
) -> None:
    """9.5, 11.6"""
    post(http, url + path, body)


def test_the_agent_works_as_ever_afterwards(http: httpx.Client, url: str) -> None:
    answer = http.post(f"{url}/message:send", json=message("hi"), headers=V1)

    assert answer.json()["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
