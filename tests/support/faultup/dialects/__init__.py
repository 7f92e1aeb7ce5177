"""Every wire format besides OpenAI's own chat, each read as strictly as its vendor reads it. No product code is used.

Which wire a request is in is told by its path; which scenario it gets by the model name, which may stand in the middle of the
vendor's own (`anthropic.claude-fault-tools`): everything after `fault-`.
"""

import re
from collections.abc import Callable

import msgspec

from support.faultup.dialects import chat, common, converse, gemini, gigachat, messages, responses
from support.faultup.dialects.common import Heard, Refused, Wire
from switchgear.testing.upstream.reply import Reply, compose
from switchgear.testing.upstream.script import Cause, Script

_CAUSES: dict[int, Cause] = {
    400: "invalid_request",
    401: "auth",
    402: "quota",
    403: "permission",
    404: "not_found",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}
_TOKENS = re.compile(r"/token|/[^/]+/oauth2/v2\.0/token|/api/v2/oauth")
_VERTEX = r"/v1(?:beta1)?/projects/[^/]+/locations/[^/]+/publishers"
_GEMINI = "generateContent|streamGenerateContent|countTokens"
_EMBED = "embedContent|batchEmbedContents|predict"


class Dialects:
    """The table of wire formats."""

    def __init__(self) -> None:
        openai = chat.OpenAI()
        self.strict: Wire = openai
        self.lenient: Wire = chat.Lenient()
        self._posts: list[tuple[re.Pattern[str], Wire]] = [
            (re.compile(pattern), wire)
            for pattern, wire in (
                (r"(?:/v1)?/responses", responses.Responses()),
                (r"/openai/(?:v1/)?responses", _AzureResponses()),
                (r"/v1/messages", messages.Messages()),
                (r"/v1/messages/count_tokens", messages.Messages(count=True)),
                (r"/openai/deployments/([^/]+)/(?:chat/completions|completions|embeddings)", chat.Azure()),
                (r"/openai/v1/(?:chat/completions|completions|embeddings)", chat.Azure()),
                (r"/model/(.+)/(converse|converse-stream|count-tokens|invoke)", converse.Bedrock()),
                (rf"/v1(?:beta)?/models/([^/:]+):({_GEMINI})", gemini.Gemini(vertex=False)),
                (rf"/v1(?:beta)?/models/([^/:]+):({_EMBED})", gemini.Embeddings(vertex=False)),
                (rf"{_VERTEX}/google/models/([^/:]+):({_GEMINI})", gemini.Gemini(vertex=True)),
                (rf"{_VERTEX}/google/models/([^/:]+):({_EMBED})", gemini.Embeddings(vertex=True)),
                (rf"{_VERTEX}/anthropic/models/count-tokens:rawPredict", messages.Messages(vertex=True, count=True)),
                (
                    rf"{_VERTEX}/anthropic/models/([^/:]+):(?:rawPredict|streamRawPredict)",
                    messages.Messages(vertex=True),
                ),
                (r"/api/v1/(?:chat/completions|embeddings)", gigachat.GigaChat()),
            )
        ]
        self._facts: list[tuple[str, re.Pattern[str], Callable[[Heard], Reply]]] = [
            (method, re.compile(pattern), reply)
            for method, pattern, reply in (
                ("POST", r"/token", lambda heard: heard.desk.google(heard.body)),
                ("POST", r"/[^/]+/oauth2/v2\.0/token", lambda heard: heard.desk.entra(heard.body)),
                ("POST", r"/api/v2/oauth", lambda heard: heard.desk.gigachat(heard.headers, heard.body)),
                ("POST", r"/api/v1/tokens/count", gigachat.count),
                ("GET", r"/v1beta/models", gemini.models),
                ("GET", r"/v1beta1/publishers/([^/]+)/models", gemini.publisher_models),
                ("GET", r"/openai(?:/v1)?/models", chat.models),
                ("GET", r"/foundation-models", converse.models),
                ("GET", r"/inference-profiles", converse.profiles),
                ("GET", r"/api/v1/models", gigachat.models),
            )
        ]

    def answer(self, heard: Heard, choose: Callable[[str], Script | None]) -> tuple[Script, Reply] | None:
        """Answer a request, None if it is not in any of these formats."""
        if heard.desk.down and heard.method == "POST" and _TOKENS.fullmatch(heard.path):
            return Script(), common.json_answer({"error": "temporarily_unavailable"}, 503)
        if heard.path == "/v1/models" and "anthropic-version" in heard.headers and heard.method == "GET":
            return Script(), messages.models(heard)
        for method, pattern, reply in self._facts:
            if method == heard.method and (found := pattern.fullmatch(heard.path)):
                return Script(), reply(msgspec.structs.replace(heard, names=found.groups()))
        if heard.method == "POST":
            for pattern, wire in self._posts:
                if found := pattern.fullmatch(heard.path):
                    return speak(wire, msgspec.structs.replace(heard, names=found.groups()), choose)
        return None


def speak(wire: Wire, heard: Heard, choose: Callable[[str], Script | None]) -> tuple[Script, Reply]:
    """Hear a request, choose its script and shape what it says."""
    try:
        asked = wire.hear(heard)
    except Refused as refused:
        return Script(), wire.refuse(refused, heard, Script())
    script = choose(asked.model)
    if script is None:
        return Script(), wire.refuse(Refused("not_found", f"No scenario {asked.model!r}"), heard, Script())
    if script.events or script.own is not None:
        return script, compose(script, common.Ask(), heard.path, request_id=heard.id, seed=heard.seed, body=heard.body)
    cause = script.cause or (_CAUSES.get(script.status, "server") if script.status >= 400 else None)
    if cause is not None:
        return script, wire.refuse(Refused(cause, ""), heard, script)
    return script, wire.speak(common.say(script, asked, heard), heard)


class _AzureResponses(responses.Responses):
    def authorise(self, heard: Heard) -> None:
        chat.Azure().authorise(heard)

    def refuse(self, refused: Refused, heard: Heard, script: Script) -> Reply:
        return chat.Azure().refuse(refused, heard, script)
