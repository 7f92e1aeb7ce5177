"""The provider suite over recorded bytes of Gemini at AI Studio, on Vertex AI, and of Claude on Vertex AI."""

import json

import msgspec

from support.anthropic_golden import STREAMS, recorded
from support.vertex import TOKEN, golden, provider
from switchgear.contracts.provider import TargetModel
from switchgear.contracts.usage import Usage
from switchgear.testing.provider_suite import ProviderSuite
from switchgear_plugins.vertex.provider import VertexProvider

USAGE = Usage.of(input=11, output=8, cached_input=4, reasoning=5)


def status(code: int, name: str, message: str = "No.", *details: dict) -> bytes:
    body = {"code": code, "message": message, "status": name, "details": list(details)}
    return json.dumps({"error": body}).encode()


def info(reason: str) -> dict:
    return {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(id: str) -> dict:
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaMetric": "m", "quotaId": id}]}


TOO_LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
TOO_LONG_ON_VERTEX = (
    "Unable to submit request because the input token count is 1048577 but model only supports up to 1048576."
)
FAULTS = (
    (400, status(400, "INVALID_ARGUMENT"), "invalid_request"),
    (400, status(400, "INVALID_ARGUMENT", "API key not valid.", info("API_KEY_INVALID")), "auth"),
    (400, status(400, "INVALID_ARGUMENT", "API key expired.", info("API_KEY_EXPIRED")), "auth"),
    (400, status(400, "INVALID_ARGUMENT", TOO_LONG), "context_length"),
    (400, status(400, "INVALID_ARGUMENT", TOO_LONG_ON_VERTEX), "context_length"),
    (400, status(400, "OUT_OF_RANGE"), "invalid_request"),
    (400, status(400, "FAILED_PRECONDITION"), "permission"),
    (401, status(401, "UNAUTHENTICATED"), "auth"),
    (403, status(403, "PERMISSION_DENIED"), "permission"),
    (403, status(403, "PERMISSION_DENIED", "Billing.", info("BILLING_DISABLED")), "quota"),
    (404, status(404, "NOT_FOUND"), "not_found"),
    (409, status(409, "ABORTED"), "server"),
    (429, status(429, "RESOURCE_EXHAUSTED"), "rate_limit"),
    (429, status(429, "RESOURCE_EXHAUSTED", "Slow.", quota("RequestsPerMinutePerProject")), "rate_limit"),
    (429, status(429, "RESOURCE_EXHAUSTED", "Slow.", quota("RequestsPerDayPerProject")), "quota"),
    (499, status(499, "CANCELLED"), "server"),
    (500, status(500, "INTERNAL"), "server"),
    (500, status(500, "UNKNOWN"), "server"),
    (500, status(500, "DATA_LOSS"), "server"),
    (501, status(501, "UNIMPLEMENTED"), "invalid_request"),
    (503, status(503, "UNAVAILABLE"), "overloaded"),
    (504, status(504, "DEADLINE_EXCEEDED"), "timeout"),
    (429, b"[" + status(429, "RESOURCE_EXHAUSTED") + b"]", "rate_limit"),
    (404, b"<html>not found</html>", "not_found"),
    (413, b"", "invalid_request"),
    (502, b"[]", "server"),
    (503, b'{"error":"gone"}', "overloaded"),
    (403, b'{"error":{"status":"PERMISSION_DENIED","details":[{"violations":"odd"}]}}', "permission"),
    (302, b"", "protocol"),
)


CALLS = (("weather", {"city": "Rome"}), ("weather", {}), ("now", {}))
FAILING = (
    golden("streams/text.sse").partition(b"data:")[1]
    + golden("streams/text.sse").partition(b"data:")[2].partition(b"data:")[0]
)
FAILING += b"data: " + status(503, "UNAVAILABLE") + b"\n\n"


class TestAIStudio(ProviderSuite):
    text = "Héllo, wörld"
    usage = USAGE
    answer = golden("answers/text.json")
    stream = golden("streams/text.sse")
    faults = FAULTS
    stream_faults = ((FAILING, "overloaded"),)
    tool_calls = CALLS
    tool_answer = golden("answers/tools.json")
    tool_stream = golden("streams/tools.sse").replace(b'{"city": "Oslo"}', b"{}")

    def make(self) -> VertexProvider:
        return provider()


class TestVertex(TestAIStudio):
    text = "Hello"
    answer = golden("answers/signed_text.json")
    stream = golden("streams/reasoning.sse")
    secret = TOKEN

    def make(self) -> VertexProvider:
        return provider(project="acme", location="us-central1")


class TestClaudeOnVertex(ProviderSuite):
    name = "claude-sonnet-4-5@20250929"
    model = TargetModel(id="public-name", name=name, name_json=msgspec.Raw(msgspec.json.encode(name)))
    text = "Héllo"
    usage = Usage.of(input=9, output=3, cached_input=4)
    answer = golden("answers/claude.json")
    stream = golden("streams/claude.sse")
    secret = TOKEN
    faults = (
        *FAULTS,
        (400, b'{"type":"error","error":{"type":"invalid_request_error","message":"No."}}', "invalid_request"),
        (429, b'{"type":"error","error":{"type":"rate_limit_error","message":"No."}}', "rate_limit"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Busy."}}', "overloaded"),
    )
    stream_faults = (
        (
            stream[: stream.index(b"event: content_block_stop")]
            + b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Busy."}}\n\n',
            "overloaded",
        ),
    )
    tool_calls = (("weather", {"city": "Köln"}), ("now", {}))
    tool_answer = recorded("parallel_tools")
    tool_stream = STREAMS["parallel_tools"]

    def make(self) -> VertexProvider:
        return provider(project="acme", location="global")
